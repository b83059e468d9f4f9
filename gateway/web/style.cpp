#include "gateway/web/style.hpp"

namespace popgate::web {

const std::string_view style = R"css(:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1c2430; --soft: #556072; --line: #d5dae2;
  --accent: #1d5fa8; --accent-ink: #ffffff; --danger: #a8231d; --focus: #1d5fa8; --well: #eef3f9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14181f; --card: #1d232d; --ink: #e8ecf2; --soft: #a9b4c4; --line: #364050;
    --accent: #8fbdf2; --accent-ink: #10233a; --danger: #ff9d96; --focus: #8fbdf2; --well: #18202b;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); min-height: 100vh; display: flex; flex-direction: column; }
header, main, footer { width: 100%; max-width: 42rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; padding-top: 1.25rem; padding-bottom: 1.25rem; }
header p { margin: 0; }
.brand { font-weight: 600; font-size: 1.05rem; flex: 1 1 auto; }
.who { color: var(--soft); font-size: .9rem; }
main { flex: 1 0 auto; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 1rem 0 .75rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.35; margin: 2.25rem 0 .5rem; }
p { margin: 0 0 1rem; }
.lead { font-size: 1.05rem; }
.note, .hint { color: var(--soft); font-size: .925rem; }
.hint { margin: 0 0 .5rem; }
.notice { border-left: .25rem solid var(--accent); padding: .75rem 1rem; background: var(--card); }
.value { overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: .2em; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.1rem 1.25rem; }
button, .button { font: inherit; font-weight: 600; display: inline-block; min-height: 2.75rem; padding: .55rem 1.15rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); color: var(--ink); text-decoration: none; cursor: pointer; }
button:hover, .button:hover { border-color: currentColor; }
.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
.primary:hover { text-decoration: underline; text-underline-offset: .2em; }
.danger { color: var(--danger); }
.quiet { min-height: 2.25rem; padding: .25rem .8rem; font-size: .9rem; font-weight: 500; }
.wide { width: 100%; font-size: 1.05rem; padding: .8rem 1.15rem; }
.choices { display: grid; gap: .75rem; margin: 1.5rem 0 1rem; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: .25rem; }
label { display: block; font-weight: 600; }
input { font: inherit; width: 100%; min-height: 2.75rem; padding: .5rem .75rem; margin-bottom: .9rem; color: var(--ink); background: var(--card); border: 1px solid var(--soft); border-radius: .5rem; }
ul.devices { list-style: none; margin: 1.25rem 0; padding: 0; display: grid; gap: .75rem; }
.device { display: flex; flex-wrap: wrap; align-items: center; gap: .75rem 1.25rem; }
.device > div { flex: 1 1 16rem; min-width: 0; }
.device h2 { margin: 0 0 .25rem; font-size: 1.05rem; }
dl { margin: 0; }
dl div { display: flex; flex-wrap: wrap; gap: 0 .6rem; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.device dl { font-size: .925rem; }
.settings { display: grid; gap: .7rem; margin-bottom: 1rem; }
.settings dt { flex: 0 0 13rem; }
.settings dd { flex: 1 1 12rem; }
.port { display: block; }
.copy { -webkit-user-select: all; user-select: all; }
.password { background: var(--well); text-align: center; padding: 1.5rem 1rem; margin-bottom: .75rem; }
.password div { display: block; }
.password code { display: inline-block; margin-top: .35rem; font: 600 1.5rem/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; letter-spacing: .04em; overflow-wrap: anywhere; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
footer { padding-top: 2rem; padding-bottom: 2rem; }
footer ul { list-style: none; display: flex; gap: 1.25rem; margin: 0; padding: 1rem 0 0; border-top: 1px solid var(--line); font-size: .925rem; }
footer a { display: inline-block; padding: .35rem 0; }
footer a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
@media (max-width: 26rem) {
  h1 { font-size: 1.5rem; }
  .password code { font-size: 1.2rem; letter-spacing: 0; }
  .device form, .device button { width: 100%; }
}
@media (prefers-contrast: more) { :root { --soft: var(--ink); --line: currentColor; } }
)css";

}  // namespace popgate::web
