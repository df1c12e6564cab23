# Leverage, residuals and Cook's distances of lme4, and its coefficients without each row and
# each group with theta held. Run in tests/reference: Rscript influence/influence.R
suppressMessages(library(lme4))

tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5),
                     calc.derivs = FALSE, check.scaleX = "ignore")

coefficients_at <- function(formula, data, theta) {
  deviance <- lmer(formula, data, weights = w, devFunOnly = TRUE)
  deviance(theta)
  environment(deviance)$pp$beta(1)
}

write_case <- function(name, formula, data, groups) {
  model <- lmer(formula, data, weights = w, control = tight)
  theta <- getME(model, "theta")
  without <- function(kept) coefficients_at(formula, data[kept, ], theta)
  rows <- seq(1, nrow(data), by = 9)
  by_row <- t(sapply(rows, function(i) without(seq_len(nrow(data)) != i)))
  by_group <- t(sapply(groups, function(g) without(data[[names(ranef(model))[1]]] != g)))
  json <- jsonlite::toJSON(list(
    coef = unname(fixef(model)), cov = unname(as.matrix(vcov(model))),
    hatvalues = unname(hatvalues(model)),
    pearson = unname(residuals(model, type = "pearson", scaled = TRUE)),
    fitted = unname(fitted(model)),
    population = unname(predict(model, re.form = NA)),
    cooks_distance = unname(cooks.distance(model)),
    rows = rows - 1, without_row = by_row, groups = groups, without_group = by_group
  ), digits = 10, auto_unbox = TRUE)
  writeLines(json, file.path("influence", paste0(name, ".json")))
}

sleep <- lme4::sleepstudy
sleep$w <- 1
write_case("sleepstudy", Reaction ~ 1 + Days + (1 + Days | Subject), sleep,
           levels(sleep$Subject))
some <- read.csv("v_weights_slope/data.csv")
some <- some[seq_len(nrow(some)) %% 7 > 1, ]
write_case("weights", Reaction ~ 1 + Days + (1 + Days | Subject), some,
           sort(unique(some$Subject)))
two <- head(read.csv("c_sim_weights/data.csv"), 200)
write_case("factors", y ~ 1 + x + (1 | a) + (1 | b), two, sort(unique(two$a)))
