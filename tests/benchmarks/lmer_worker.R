# Fits lmer once for each line on the standard input, and answers with the seconds that lmer
# alone took, those of the processor, and the criterion. Arguments: file, rows, formula, names of
# the columns, names of those that hold groups. The file holds the columns as doubles.
args <- commandArgs(trailingOnly = TRUE)
n <- as.integer(args[2])
columns <- strsplit(args[4], ",")[[1]]
suppressPackageStartupMessages(library(lme4))
values <- readBin(args[1], "double", n * length(columns))
frame <- as.data.frame(matrix(values, n))
names(frame) <- columns
for (name in strsplit(args[5], ",")[[1]]) frame[[name]] <- factor(frame[[name]])
formula <- as.formula(args[3])
lines <- file("stdin", "r")
while (length(readLines(lines, 1)) > 0) {
  time <- system.time(model <- lmer(formula, frame))
  cpu <- time[["user.self"]] + time[["sys.self"]]
  cat(sprintf("%.6f %.6f %.10g\n", time[["elapsed"]], cpu, REMLcrit(model)))
}
