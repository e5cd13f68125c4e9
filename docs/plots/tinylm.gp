# SPDX-License-Identifier: Apache-2.0 OR MIT
# gnuplot -c docs/plots/tinylm.gp tinylm.csv docs/tinylm.svg: bits per byte of text by size, from
# tinylm eval --csv. No background, colours of middle brightness: for light and dark pages.
csv = ARG1
set terminal svg size 960,560 dynamic noenhanced font "sans-serif,13" linewidth 1.0
set output ARG2

grey = "#80868b"
set border 3 linecolor rgb grey
set grid y linecolor rgb grey dashtype 3 linewidth 0.5
set tics nomirror textcolor rgb grey
set key at graph 0.98,0.98 right textcolor rgb grey samplen 1 spacing 1.3
set xlabel "MB of the whole model" textcolor rgb grey
set ylabel "loss of bits per byte, %" textcolor rgb grey

set datafile separator comma
set logscale y
set xrange [1.5:6]
set yrange [0.004:30]

# Columns: format, path, bits, all bits, MB, bits per byte, loss.
kind(name) = name[1:3] eq "int" || name[1:4] eq "uint" ? 1 : \
    name[1:1] eq "q" || name[1:2] eq "iq" ? 2 : 3
shown(k) = kind(strcol(1)) == k && $7 > 0 && $5 < 6 ? $7 : NaN

# Names that have room.
labelled = " uint2_g32_f16_z q2_K q3_K uint3_g32_f16_z int4_channel_f32 int4_g32_f16 nf4_g64_dq iq4_xs " \
    ."q4_K uint4_g32_f16_z q5_K uint5_g32_f16_z mxfp6_e2m3 q6_K fp8_e4m3fn_channel_f32 q8_0 "
name(unused) = strstrt(labelled, " ".strcol(1)." ") > 0 ? strcol(1) : ""

set linetype 1 linecolor rgb "#388bfd"
set linetype 2 linecolor rgb "#2da44e"
set linetype 3 linecolor rgb "#e5534b"
array title[3] = ["integers", "GGUF", "FP, NF4, MX"]
plot for [k=1:3] csv every ::1 using 5:(shown(k)) with points linetype k pointtype 7 \
         pointsize 0.6 title title[k], \
     for [k=1:3] csv every ::1 using 5:(shown(k)):(name(0)) with labels left offset 0.3,0.4 rotate by 35 \
         font "sans-serif,9" textcolor linetype k notitle
