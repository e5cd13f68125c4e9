# SPDX-License-Identifier: Apache-2.0 OR MIT
# cmake -DTOOL=... -DDATA=... -DWORK=... -DGNUPLOT=... -DCHROMIUM=... -P check_screenshot.cmake: a
# browser without a screen shows the page on a phone and on a desk: nothing wider than the window,
# plots as wide as they should be, and colours that follow the system. The pictures stay in WORK.
cmake_policy(VERSION 3.25)
if(NOT GNUPLOT OR NOT CHROMIUM)
  message(STATUS "report check skipped: it needs gnuplot and chromium")
  return()
endif()

execute_process(COMMAND "${TOOL}" "${DATA}/run.jsonl" --loss "${DATA}/loss.json" -o "${WORK}/shown.html"
  COMMAND_ERROR_IS_FATAL ANY)

# The page itself may run nothing; a copy that may says how wide things are.
file(READ "${WORK}/shown.html" page)
string(REGEX REPLACE "<meta http-equiv[^>]*>" "" page "${page}")
string(REPLACE "</body>" "<script>
const open = document.querySelectorAll('details');
open.forEach(d => d.open = true);
const root = document.documentElement;
const widest = Math.max(...[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && !e.closest('svg')).map(e => e.getBoundingClientRect().right));
const plots = [...document.querySelectorAll('svg.plot')].map(e => e.getBoundingClientRect());
const words = document.querySelector('svg.plot text');
const text = words.getBoundingClientRect();
const readable = getComputedStyle(words).fill == getComputedStyle(document.body).color;
document.title = 'measured ' + [innerWidth, root.scrollWidth, Math.round(widest), plots.length,
  Math.round(Math.min(...plots.map(p => p.width))), Math.round(10 * text.height),
  getComputedStyle(document.body).backgroundColor.replace(/[^0-9,]/g, ''),
  readable].join(' ');
</script></body>" page "${page}")
file(WRITE "${WORK}/measured.html" "${page}")

set(profile "${WORK}/browser")
function(browse)
  execute_process(COMMAND "${CHROMIUM}" --headless --no-sandbox --disable-gpu --disable-quic
      --no-first-run --disable-background-networking --disable-component-update --disable-sync
      --disable-dev-shm-usage --hide-scrollbars "--user-data-dir=${profile}" ${ARGN}
    TIMEOUT 120 RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  file(REMOVE_RECURSE "${profile}")
  if(result)
    message(FATAL_ERROR "${CHROMIUM}: ${result}\n${err}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

# A headless window is no narrower than 500: a frame is as narrow as a phone.
function(check_width name width least_plot)
  file(WRITE "${WORK}/frame.html" "<!DOCTYPE html><body style=\"margin:0\"><iframe id=\"f\" \
src=\"measured.html\" style=\"width:${width}px;height:2000px;border:0\"></iframe><script>
f.onload = () => { document.title = f.contentDocument.title; };</script></body>")
  browse(--allow-file-access-from-files --virtual-time-budget=10000 --window-size=1400,2000 --dump-dom
    "file://${WORK}/frame.html" ${ARGN})
  if(NOT out MATCHES "measured ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9,]+) ([a-z]+)")
    message(FATAL_ERROR "${name}: the page did not say how wide it is")
  endif()
  message(STATUS "${name}: ${CMAKE_MATCH_0} (window, page, widest, plots, narrowest, text x 10, back, readable)")
  if(NOT CMAKE_MATCH_1 EQUAL width OR CMAKE_MATCH_2 GREATER width OR CMAKE_MATCH_3 GREATER width)
    message(SEND_ERROR "${name}: wider than ${width}")
  endif()
  if(CMAKE_MATCH_4 LESS 10 OR CMAKE_MATCH_5 LESS least_plot)
    message(SEND_ERROR "${name}: ${CMAKE_MATCH_4} plots, one only ${CMAKE_MATCH_5} wide")
  endif()
  if(CMAKE_MATCH_6 LESS 90)
    message(SEND_ERROR "${name}: text in plots is too small")
  endif()
  if(NOT CMAKE_MATCH_8 STREQUAL "true")
    message(SEND_ERROR "${name}: text in plots has not the colour of the page's text")
  endif()
  set(background "${CMAKE_MATCH_7}" PARENT_SCOPE)
endfunction()

check_width(phone 390 320)
set(light "${background}")
check_width(desk 1280 400)
check_width(dark 390 320 --blink-settings=preferredColorScheme=0)
if(background STREQUAL light)
  message(SEND_ERROR "the dark page is as light as the other")
endif()

# Pictures: one colour compresses to almost nothing.
foreach(size 500,844 1280,900)
  string(REPLACE "," "x" name "${size}")
  browse(--window-size=${size} "--screenshot=${WORK}/report_${name}.png" "file://${WORK}/shown.html")
  file(SIZE "${WORK}/report_${name}.png" bytes)
  if(bytes LESS 20000)
    message(SEND_ERROR "report_${name}.png has ${bytes} bytes: a blank page")
  endif()
endforeach()
