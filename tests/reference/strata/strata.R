# Residual variances that differ between strata, by nlme's varIdent: Rscript strata.R
suppressMessages({library(nlme); library(jsonlite)})
set.seed(1)
data(Orthodont, package = "nlme")
o <- data.frame(age = Orthodont$age, Female = as.numeric(Orthodont$Sex == "Female"),
                Sex = as.character(Orthodont$Sex), Subject = as.character(Orthodont$Subject),
                distance = Orthodont$distance)
write.csv(o, "orthodont.csv", row.names = FALSE)
J <- 25; size <- sample(3:14, J, TRUE); g <- rep(1:J, size); n <- length(g)
s <- sample(c("a", "b", "c"), n, TRUE, c(.5, .3, .2)); x <- round(rnorm(n), 4); z <- round(rnorm(n), 4)
y <- round(1 + 2 * x - z + rnorm(J)[g] + .7 * rnorm(J)[g] * x + c(a = .5, b = 1, c = 2.5)[s] * rnorm(n), 4)
d <- data.frame(x, z, s, g, y)
write.csv(d, "simulated.csv", row.names = FALSE)

control <- lmeControl(msTol = 1e-14, tolerance = 1e-12, maxIter = 1000, msMaxIter = 1000,
                      niterEM = 60, opt = "nlminb", msMaxEval = 5000, returnObject = TRUE)
best <- function(fixed, data, random, by, method) {
  labels <- sort(unique(data[[by]]))
  form <- as.formula(paste("~ 1 |", by))
  found <- NULL
  for (ratio in c(.5, 1, 2, 4)) {   # several starts
    first <- as.character(data[[by]][1])
    value <- setNames(rep(ratio, length(labels) - 1), setdiff(labels, first))
    f <- lme(fixed, data, random, weights = varIdent(value, form = form), method = method, control = control)
    if (is.null(found) || logLik(f) > logLik(found)) found <- f
  }
  sd <- found$sigma / varWeights(found$modelStruct$varStruct)
  # in the order of the groups: back to that of the rows by their names
  list(log_likelihood = as.numeric(logLik(found)), beta = unname(fixef(found)),
       std_error = unname(sqrt(diag(vcov(found)))),
       cov = matrix(getVarCov(found), nrow(getVarCov(found))),
       residual_sd = unname(tapply(sd, names(sd), mean)[labels]),
       ranef = as.matrix(ranef(found)[order(rownames(ranef(found))), , drop = FALSE]),
       groups = sort(rownames(ranef(found))))
}
out <- list()
for (method in c("REML", "ML")) {
  key <- tolower(method)
  out[[key]] <- list(
    orthodont = best(distance ~ age + Female, o, ~ 1 | Subject, "Sex", method),
    intercepts = best(y ~ x + z, d, ~ 1 | g, "s", method),
    slopes = best(y ~ x + z, d, ~ x | g, "s", method))
}
write_json(out, "expected.json", digits = 14, auto_unbox = TRUE)
