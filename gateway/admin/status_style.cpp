#include "gateway/admin/status_page.hpp"

namespace popgate::admin {

const std::string_view status_style = R"css(:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1c2430; --soft: #556072; --line: #d5dae2; --grid: #e4e8ee;
  --accent: #1d5fa8; --good: #1d7a3e; --fair: #8a5a00; --bad: #b3261e;
  --good-ground: #e7f4ec; --fair-ground: #fdf3dc; --bad-ground: #fdebe9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14181f; --card: #1d232d; --ink: #e8ecf2; --soft: #a9b4c4; --line: #364050; --grid: #2b3442;
    --accent: #8fbdf2; --good: #7fd6a0; --fair: #f0c36a; --bad: #ff9d96;
    --good-ground: #172a20; --fair-ground: #2c2413; --bad-ground: #331c1b;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1.5rem; padding-top: 1.25rem; padding-bottom: 1rem; }
header p, footer p { margin: 0; }
footer { padding-top: 1rem; padding-bottom: 2.5rem; font-size: .925rem; color: var(--soft); }
a { color: var(--accent); text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; line-height: 1.35; margin: 2rem 0 .75rem; }
.soft { color: var(--soft); }
.good { --mark: var(--good); --mark-ground: var(--good-ground); }
.fair { --mark: var(--fair); --mark-ground: var(--fair-ground); }
.bad { --mark: var(--bad); --mark-ground: var(--bad-ground); }
.banner { display: flex; gap: 1rem; align-items: center; padding: 1.1rem 1.25rem; border-radius: .75rem; border: 1px solid var(--mark); background: var(--mark-ground); }
.banner p { margin: .15rem 0 0; }
.banner svg { flex: 0 0 auto; width: 2.5rem; height: 2.5rem; }
.banner circle { fill: var(--mark); }
.banner path { fill: none; stroke: var(--mark-ground); stroke-width: 2.4; stroke-linecap: round; stroke-linejoin: round; }
.troubles { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem; }
.troubles li { background: var(--card); border: 1px solid var(--line); border-left: .3rem solid var(--mark); border-radius: .5rem; padding: .7rem 1rem; overflow-wrap: anywhere; }
.troubles p { margin: .2rem 0 0; color: var(--soft); }
.troubles .mark { color: var(--mark); font-weight: 600; font-size: .925rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin: .75rem 0 0; }
.facts.now { margin-top: 1.25rem; }
.facts div, figure { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .8rem 1rem; }
.facts dt { color: var(--soft); font-size: .875rem; }
.facts dd { margin: 0; }
.facts b { display: block; font-size: 1.3rem; line-height: 1.3; font-weight: 650; font-variant-numeric: tabular-nums; }
.facts span { display: block; color: var(--soft); font-size: .875rem; }
.alarming b { color: var(--fair); }
.meter { display: block; width: 100%; height: .4rem; margin-top: .35rem; border-radius: .2rem; }
.meter .all { fill: var(--grid); }
.meter .part { fill: var(--accent); }
.meter.full .part { fill: var(--fair); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: .75rem; }
figure { margin: 0; padding-bottom: .4rem; }
figcaption { font-size: .875rem; color: var(--soft); margin-bottom: .35rem; }
figcaption b { display: block; color: var(--ink); font-size: 1rem; }
figure svg { display: block; width: 100%; height: auto; }
figure text { font-size: 12.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.axis { stroke: var(--soft); stroke-width: 1; }
.grid { stroke: var(--grid); stroke-width: 1; }
.bar { fill: var(--accent); }
.bar:hover { fill: var(--ink); }
.before { fill: var(--ground); }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 0 2rem; }
.lines { list-style: none; margin: 0; padding: 0; font: .875rem/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
.lines li { padding: .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .35rem 0; }
@media (prefers-contrast: more) { :root { --soft: var(--ink); --line: currentColor; --grid: var(--soft); } }
@media (max-width: 30rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  .facts.now div:first-child { grid-column: 1 / -1; }
  .facts b { font-size: 1.1rem; }
  figure { padding-left: .6rem; padding-right: .6rem; }
}
)css";

}  // namespace popgate::admin
