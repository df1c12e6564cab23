# Marginal means and effects of two designs: Rscript emmeans.R
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(emmeans); library(jsonlite)})
emm_options(pbkrtest.limit = 1e5, lmerTest.limit = 1e5)
set.seed(1)
data(Machines, package = "nlme"); data(Orthodont, package = "nlme")
plain <- function(d) { for (n in names(d)) if (is.factor(d[[n]])) d[[n]] <- as.character(d[[n]]); as.data.frame(d) }
m <- plain(Machines)[-c(1, 5, 9, 30, 31), ]   # unbalanced
m$x <- round(rnorm(nrow(m)), 3)
write.csv(m, "machines.csv", row.names = FALSE)
o <- plain(Orthodont); o$distance[3] <- 30
write.csv(o, "orthodont.csv", row.names = FALSE)
frame <- function(e) {
  s <- as.data.frame(summary(e, infer = c(TRUE, FALSE)))
  value <- intersect(c("emmean", "estimate", "age.trend"), names(s))
  list(estimate = s[[value]], std_error = s$SE, df = s$df, lower = s$lower.CL, upper = s$upper.CL)
}
f <- lmer(score ~ Machine * x + (1 | Worker), m)
g <- lmer(distance ~ (age + I(age^2)) * Sex + (1 | Subject), o)
out <- list()
for (mode in c("satterthwaite", "kenward-roger")) {
  means <- emmeans(f, ~ Machine, lmer.df = mode)
  out[[mode]] <- list(
    machine_means = frame(means),
    machine_contrasts = frame(contrast(means, "trt.vs.ctrl1")),
    age_means = frame(emmeans(g, ~ age, at = list(age = c(8, 11, 14)), weights = "proportional", lmer.df = mode)),
    age_slope = frame(emtrends(g, ~ 1, var = "age", delta.var = 1e-5, at = list(age = mean(o$age)), weights = "proportional", lmer.df = mode)))
}
write_json(out, "expected.json", digits = 12, auto_unbox = FALSE, pretty = TRUE)
