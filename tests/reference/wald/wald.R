# F tests of several fixed effects by lmerTest and pbkrtest: Rscript wald.R, in this folder.
suppressMessages({library(lmerTest); library(pbkrtest); library(jsonlite); library(nlme)})
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-2, rhoend = 1e-9, maxfun = 1e5),
                     calc.derivs = TRUE, check.conv.singular = "ignore", check.conv.grad = "ignore")
out <- list()
rows <- function(frame) setNames(lapply(seq_len(nrow(frame)), function(i) as.list(frame[i, ])), rownames(frame))
plain <- function(a) {
  a <- as.data.frame(a); names(a) <- c("sum_sq", "mean_sq", "df_num", "df_denom", "statistic", "p_value"); rows(a)
}
# L: named list of contrast matrices over fixef(m)
study <- function(name, m, data, L, types = c("I", "III")) {
  if (!is.null(data)) write.csv(data, paste0(name, ".csv"), row.names = FALSE, quote = FALSE)
  tests <- lapply(L, function(l) {
    kr <- KRmodcomp(m, l)$test
    list(L = l, satterthwaite = as.list(unname(unlist(contestMD(m, l)[c("F value", "NumDF", "DenDF", "Pr(>F)")]))),
         kenward_roger = list(kr["Ftest", "stat"], kr["Ftest", "ndf"], kr["Ftest", "ddf"], kr["Ftest", "p.value"]))
  })
  anovas <- list()
  for (type in types) {
    anovas[[type]] <- list(satterthwaite = plain(anova(m, type = type)),
                           kenward_roger = plain(anova(m, type = type, ddf = "Kenward-Roger")))
  }
  out[[name]] <<- list(terms = names(fixef(m)), tests = tests, anova = anovas)
}
unit <- function(p, ...) diag(p)[c(...), , drop = FALSE]

d <- data.frame(y = sleepstudy$Reaction, days = sleepstudy$Days, days2 = sleepstudy$Days^2, group = sleepstudy$Subject)
m <- lmer(y ~ days + days2 + (days | group), d, control = tight)
study("sleepstudy", m, d, list(slopes = unit(3, 2, 3), all = unit(3, 1, 2, 3), line = rbind(c(0, 1, 5)),
                               dependent = rbind(c(0, 1, 0), c(0, 0, 2), c(0, 1, 3))))

o <- as.data.frame(Orthodont)
d <- data.frame(y = o$distance, age = o$age, female = as.numeric(o$Sex == "Female"),
                age_female = o$age * (o$Sex == "Female"), group = as.character(o$Subject))
m <- lmer(y ~ age + female + age_female + (age | group), d, control = tight)
study("orthodont", m, d, list(sex = unit(4, 3, 4), slopes = unit(4, 2, 4), all = unit(4, 1:4)))

M <- as.data.frame(Machines)
d <- data.frame(y = M$score, machine = as.character(M$Machine), group = as.character(M$Worker))
m <- lmer(y ~ machine + (1 | group), d, control = tight)
study("machines", m, d, list(machine = unit(3, 2, 3), pair = rbind(c(0, 1, -1))))

# unbalanced: rows of two groups and of one machine are missing
d2 <- d[-c(1, 2, 3, 7, 20, 21, 22, 40, 41, 50), ]
m <- lmer(y ~ machine + (1 | group), d2, control = tight)
study("machines_unbalanced", m, d2, list(machine = unit(3, 2, 3)))

# a factor beside random slopes, unbalanced
set.seed(7)
size <- rep(c(3, 5, 9, 14), 4); g <- rep(seq_along(size), size); n <- length(g)
d <- data.frame(x = round(rnorm(n), 3), arm = c("a", "b", "c")[1 + rep(seq_along(size), size) %% 3],
                dose = c("low", "mid", "high")[sample(3, n, TRUE)], group = g)
u <- rnorm(16); v <- 0.5 * rnorm(16)
d$y <- round(1 + 0.3 * (d$arm == "b") + 0.5 * d$x + 0.4 * (d$dose == "mid") + u[g] + v[g] * d$x + rnorm(n), 4)
d$arm <- factor(d$arm); d$dose <- factor(d$dose)
m <- lmer(y ~ arm + dose + x + (x | group), d, control = tight)
study("design", m, d, list(arm = unit(6, 2, 3), dose = unit(6, 4, 5), level_2_and_x = unit(6, 2, 3, 6)))

# sum-to-zero coding, with an interaction, in the same rows
contrasts(d$arm) <- contr.sum(3); contrasts(d$dose) <- contr.sum(3)
m <- lmer(y ~ arm * dose + (1 | group), d, control = tight)
study("interaction", m, NULL, list(interaction = unit(9, 6:9)))

# two crossed factors
set.seed(8)
d <- expand.grid(item = 1:9, group = 1:12)[-sample(108, 17), ]
d$cond <- factor(c("a", "b", "c")[1 + (d$item + d$group) %% 3]); d$z <- round(rnorm(12), 3)[d$group]
d$y <- round(0.3 * (d$cond == "b") + 0.2 * d$z + rnorm(12)[d$group] + 0.7 * rnorm(9)[d$item] + rnorm(nrow(d)), 4)
m <- lmer(y ~ cond + z + (1 | group) + (1 | item), d, control = tight)
study("crossed", m, d, list(cond = unit(4, 2, 3), all = unit(4, 2:4)))

writeLines(toJSON(out, digits = 10, auto_unbox = TRUE), "expected.json")
