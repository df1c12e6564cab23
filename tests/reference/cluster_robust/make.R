# References of cluster-robust standard errors: Rscript make.R, in this directory.
#
# Reads grunfeld.csv and unbalanced.csv, and writes reference.json: vcovCR of each type on lm,
# with dummies for fixed effects, and Satterthwaite's degrees of freedom of CR2.
suppressMessages({library(clubSandwich); library(jsonlite)})

of_model <- function(model, cluster, terms, joint) {
  types <- c("CR0", "CR1", "CR1S", "CR2")
  answer <- list(terms = terms, coef = unname(coef(model)[terms]))
  for (type in types) {
    V <- as.matrix(vcovCR(model, cluster = cluster, type = type))
    answer[[type]] <- list(cov = unname(V[terms, terms, drop = FALSE]))
  }
  V <- vcovCR(model, cluster = cluster, type = "CR2")
  tests <- coef_test(model, vcov = V, test = "Satterthwaite", coefs = terms)
  answer$CR2$df <- tests$df_Satt
  if (length(joint) > 1) {
    test <- Wald_test(model, constrain_zero(joint, coefs = coef(model)), vcov = V, test = "HTZ")
    answer$CR2$joint <- list(terms = joint, F = test$Fstat, df_num = test$df_num,
                             df_denom = test$df_denom, p_value = test$p_val)
  }
  answer
}

grunfeld <- read.csv("grunfeld.csv")
sim <- read.csv("unbalanced.csv")
repeated <- sim[rep(seq_len(nrow(sim)), sim$w), ]
both <- c("x1", "x2")
reference <- list(
  grunfeld_pooled = of_model(lm(invest ~ value + capital, grunfeld), grunfeld$firm,
                             c("(Intercept)", "value", "capital"), c("value", "capital")),
  grunfeld_fixed = of_model(lm(invest ~ value + capital + factor(firm), grunfeld),
                            grunfeld$firm, c("value", "capital"), c("value", "capital")),
  unbalanced_pooled = of_model(lm(y ~ x1 + x2 + z, sim), sim$g,
                               c("(Intercept)", "x1", "x2", "z"), c("x1", "x2", "z")),
  unbalanced_no_intercept = of_model(lm(y ~ 0 + x1 + x2 + z, sim), sim$g,
                                     c("x1", "x2", "z"), c("x1", "z")),
  unbalanced_fixed = of_model(lm(y ~ x1 + x2 + factor(g), sim), sim$g, both, both),
  unbalanced_slopes = of_model(lm(y ~ x1 + x2 + z + factor(g) + factor(g):x2, sim), sim$g,
                               "x1", "x1"),
  repeated_pooled = of_model(lm(y ~ x1 + x2 + z, repeated), repeated$g,
                             c("(Intercept)", "x1", "x2", "z"), c("x1", "x2", "z")),
  repeated_fixed = of_model(lm(y ~ x1 + x2 + factor(g), repeated), repeated$g, both, both)
)
# weights of lm give the same coefficients, and CR0 and CR1
weighted <- lm(y ~ x1 + x2 + z, sim, weights = w)
reference$weights_of_lm <- lapply(c(CR0 = "CR0", CR1 = "CR1", CR2 = "CR2"), function(type)
  unname(as.matrix(vcovCR(weighted, cluster = sim$g, type = type))))
write(toJSON(reference, digits = I(17), auto_unbox = TRUE, pretty = TRUE), "reference.json")
