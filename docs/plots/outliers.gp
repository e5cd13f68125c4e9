# SPDX-License-Identifier: Apache-2.0 OR MIT
# gnuplot -c docs/plots/outliers.gp outliers.csv docs/outliers.svg: error by size of outliers, from
# nibble_outliers --csv. No background, colours of middle brightness: for light and dark pages.
csv = ARG1
set terminal svg size 960,640 dynamic noenhanced font "sans-serif,14" linewidth 1.0
set output ARG2

grey = "#80868b"
set border 3 linecolor rgb grey
set grid y linecolor rgb grey dashtype 3 linewidth 0.5
set tics nomirror textcolor rgb grey
set title textcolor rgb grey
set key left top Left reverse textcolor rgb grey samplen 2 spacing 1.3
set xlabel textcolor rgb grey offset 0,0.3
set ylabel textcolor rgb grey offset 0.5,0

set datafile separator comma
set datafile missing NaN
set xrange [-0.15:3.15]
set xtics ("none" 0, "10 x" 1, "30 x" 2, "100 x" 3)
place(factor) = factor == 1 ? 0 : factor == 10 ? 1 : factor == 30 ? 2 : 3

# Lines of the CSV: outliers, percent, factor, format, weights, product, path, bits, error, dB, found.
is_here(where) = (strcol(1) eq "none" || (strcol(1) eq where && $2 == 0.5))
db(where, format, weights, product) = is_here(where) && strcol(4) eq format && \
    strcol(5) eq weights && strcol(6) eq product ? $10 : NaN

set linetype 1 linecolor rgb "#8b949e" linewidth 2 dashtype 2 pointtype 0
set linetype 2 linecolor rgb "#e5534b" linewidth 2 pointtype 7 pointsize 0.6
set linetype 3 linecolor rgb "#d29922" linewidth 2 pointtype 5 pointsize 0.6
set linetype 4 linecolor rgb "#388bfd" linewidth 2 pointtype 9 pointsize 0.8
set linetype 5 linecolor rgb "#2da44e" linewidth 2 pointtype 13 pointsize 0.8
set linetype 6 linecolor rgb "#a371f7" linewidth 2 pointtype 11 pointsize 0.8

array format[2] = ["int8_channel_f32", "int4_g128_f16"]
set multiplot

do for [i=1:2] {
  set lmargin at screen (i == 1 ? 0.07 : 0.42)
  set rmargin at screen (i == 1 ? 0.37 : 0.72)
  if (i == 1) { unset key; set ylabel "signal to error, dB" } else { set ylabel "" }

  if (i == 2) { set key at screen 0.735, 0.88 }
  set tmargin at screen 0.93
  set bmargin at screen 0.60
  set title format[i]
  set xlabel "0.5 % of the columns of x are larger"
  set yrange [(i == 1 ? 15 : 10):(i == 1 ? 60 : 40)]
  f = format[i]
  at = "columns of x"
  plot csv every ::1 using (place($3)):(db(at, f, "plain", "exact")) smooth unique \
           with lines linetype 1 title "weights' loss alone", \
       "" every ::1 using (place($3)):(db(at, f, "columns", "integer")) smooth unique \
           with linespoints linetype 5 title "int8, 0.5 % columns apart", \
       "" every ::1 using (place($3)):(db(at, f, "sensitive", "llm_int8")) smooth unique \
           with linespoints linetype 6 title "LLM.int8, 0.5 % sensitive", \
       "" every ::1 using (place($3)):(db(at, f, "plain", "llm_int8")) smooth unique \
           with linespoints linetype 4 title "LLM.int8", \
       "" every ::1 using (place($3)):(db(at, f, "plain", "integer")) smooth unique \
           with linespoints linetype 2 title "int8 x", \
       "" every ::1 using (place($3)):(db(at, f, "plain", "static")) smooth unique \
           with linespoints linetype 3 title "int8 x, static scale"

  if (i == 2) { set key at screen 0.735, 0.38 }
  set tmargin at screen 0.45
  set bmargin at screen 0.12
  set title ""
  set xlabel "0.5 % of the values of w are larger"
  set yrange [(i == 1 ? 20 : 10):(i == 1 ? 65 : 40)]
  at = "values of w"
  plot csv every ::1 using (place($3)):(db(at, f, "singles_of_matrix", "exact")) smooth unique \
           with linespoints linetype 5 title "0.5 % of the matrix apart", \
       "" every ::1 using (place($3)):(db(at, f, "singles", "exact")) smooth unique \
           with linespoints linetype 6 title "0.5 % of every row apart", \
       "" every ::1 using (place($3)):(db(at, f, "halved", "exact")) smooth unique \
           with linespoints linetype 4 title "blocks half as long", \
       "" every ::1 using (place($3)):(db(at, f, "plain", "exact")) smooth unique \
           with linespoints linetype 2 title "nothing apart"
}
unset multiplot
