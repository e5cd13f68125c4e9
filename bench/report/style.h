// SPDX-License-Identifier: Apache-2.0 OR MIT
// How a report looks, on a phone and on a desk, by day and by night.
#ifndef NIBBLE_BENCH_REPORT_STYLE_H_
#define NIBBLE_BENCH_REPORT_STYLE_H_

namespace report {

/// The policy keeps the page from loading or running anything, whatever a file smuggled into it.
inline constexpr const char* page_head = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
)html";

inline constexpr const char* page_style = R"css(<style>
:root { color-scheme: light dark; --page: #f4f5f7; --card: #fff; --text: #1f2328; --soft: #59636e;
  --line: #d8dee4; --good: 45, 164, 78; --bad: 229, 83, 75; --link: #0969da; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #161b22; --text: #e6edf3;
  --soft: #9aa4af; --line: #30363d; --link: #58a6ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .4rem 0; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .3rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 0 0 .3rem; }
p { margin: .4rem 0; max-width: 48rem; }
.soft { color: var(--soft); }
.small, figcaption, td small { font-size: .85rem; line-height: 1.4; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
  align-items: start; margin: 1rem 0; }
figure, .card { margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; min-width: 0; }
svg.plot { display: block; width: 100%; height: auto; max-width: 40rem; margin: 0 auto; }
figcaption { color: var(--soft); }
.facts { list-style: none; margin: .3rem 0; padding: 0; display: grid; font-size: .9rem;
  gap: 0 1.4rem; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }
.facts b { white-space: nowrap; margin-left: .5rem; }
.facts li { display: flex; justify-content: space-between; border-bottom: 1px solid var(--line);
  padding: .15rem 0; }
.legend { list-style: none; margin: 0 0 .4rem; padding: 0; display: flex; flex-wrap: wrap;
  gap: 0 .9rem; font-size: .8rem; } .legend svg { vertical-align: -2px; }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
.tall { max-height: 36rem; overflow-y: auto; } .tall th { position: sticky; top: 0; background: var(--card); }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .45rem; text-align: right; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: normal; white-space: nowrap; }
th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child, .left { text-align: left; }
td.note { text-align: left; white-space: normal; min-width: 13rem; }
td small { display: block; color: var(--soft); }
tr.ours td { font-weight: 600; } tr.ours td.note { font-weight: 400; }
.wrong { color: rgb(var(--bad)); font-weight: 700; }
.slower { color: rgb(var(--bad)); font-weight: 600; } .faster { color: rgb(var(--good)); font-weight: 600; }
.card + .card { margin-top: 1rem; }
.scroll td:first-child { position: sticky; left: 0; background: var(--card); }
details .scroll td:first-child { background: var(--page); }
td.cell { border-radius: .3rem; }
details { margin: .5rem 0; } summary { cursor: pointer; padding: .3rem 0; }
summary b { margin-right: .5rem; }
nav a { color: var(--link); margin-right: 1rem; }
ul { padding-left: 1.2rem; margin: .4rem 0; }
@media (max-width: 30rem) { body { padding: .6rem; } figure, .card { padding: .5rem; }
  table, .facts { font-size: .82rem; } th, td { padding: .25rem .35rem; } }
@media print { .tall { max-height: none; } details > * { display: block; } figure, .card { break-inside: avoid; } }
</style>
)css";

}  // namespace report

#endif  // NIBBLE_BENCH_REPORT_STYLE_H_
