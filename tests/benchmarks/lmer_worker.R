# Fits lmer once for each line on the standard input, and answers with the seconds that lmer
# alone took and the criterion. Arguments: file, rows, columns, formula. The file holds X column
# by column, y and the group, as doubles.
args <- commandArgs(trailingOnly = TRUE)
n <- as.integer(args[2])
p <- as.integer(args[3])
suppressPackageStartupMessages(library(lme4))
values <- readBin(args[1], "double", n * (p + 2))
frame <- as.data.frame(matrix(values, n))
names(frame) <- c(paste0("x", seq_len(p)), "y", "g")
frame$g <- factor(frame$g)
formula <- as.formula(args[4])
lines <- file("stdin", "r")
while (length(readLines(lines, 1)) > 0) {
  seconds <- system.time(model <- lmer(formula, frame))[["elapsed"]]
  cat(sprintf("%.6f %.10g\n", seconds, REMLcrit(model)))
}
