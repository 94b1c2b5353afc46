// The style sheet of every page. Contrast of text is at least 4.5:1 in both schemes.
#ifndef CROSSCHECK_CLI_REPORTS_PAGE_STYLE_H_
#define CROSSCHECK_CLI_REPORTS_PAGE_STYLE_H_

namespace crosscheck {

inline constexpr char kPageStyle[] = R"css(
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --ink: #1b1e23; --faint: #5a6069; --line: #d9dad5; --grid: #e7e8e3; --panel: #f3f3ef;
  --good: #1d6b36; --bad: #a8201a; --doubt: #7a5200; --link: #174ea6; --shade: 23, 78, 166;
  --s1: #174ea6; --s2: #b04a00; --s3: #1d6b36; --s4: #7b3a99; --s5: #9c2748; --s6: #00666e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e8e9e6; --faint: #a7adb5; --line: #343a42; --grid: #272c33; --panel: #1c2026;
    --good: #7fd491; --bad: #ff9a92; --doubt: #f0c060; --link: #8fb8ff; --shade: 110, 165, 255;
    --s1: #8fb8ff; --s2: #ffae70; --s3: #7fd491; --s4: #d6a4f2; --s5: #ff9db4; --s6: #67d3dc;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
header, main, footer, nav { max-width: 70rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; max-width: 46rem; } li { margin: .3rem 0; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: .75rem 0 0; margin: 0; max-width: none; }
nav li { margin: 0; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 0; margin: 1.25rem 0 .5rem;
  border-top: 1px solid var(--line); border-left: 1px solid var(--line); }
dl.facts div { padding: .6rem .8rem; border-right: 1px solid var(--line); border-bottom: 1px solid var(--line); }
dl.facts dt { color: var(--faint); font-size: .8rem; }
dl.facts dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; margin: .75rem 0; }
table { border-collapse: collapse; min-width: min(100%, 26rem); font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding: 0 0 .35rem; }
th, td { text-align: left; font-weight: normal; padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { color: var(--faint); border-bottom: 1px solid var(--line); vertical-align: bottom; }
tbody th { overflow-wrap: break-word; min-width: 8rem; }
tbody td:not(.n) { min-width: 6.5rem; } td code { display: inline-block; min-width: 11rem; }
td code.token { min-width: 0; overflow-wrap: normal; }
.n { text-align: right; white-space: nowrap; }
table.heat tbody td, table.heat thead th { min-width: 0; text-align: center; padding: .15rem .35rem; border: 1px solid var(--paper); }
table.heat tbody th { border: 0; padding: .15rem .6rem .15rem 0; min-width: 0; white-space: nowrap; }
table.heat thead th { white-space: nowrap; font-size: .75rem; }
table.heat thead th.turned { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; vertical-align: middle; padding: .35rem 0; }
table.heat td { background: rgba(var(--shade), calc(.36 * var(--v, 0))); }
table.heat td.mark { outline: 2px solid var(--bad); outline-offset: -2px; font-weight: 700; }
code, pre { font: .84em/1.45 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; unicode-bidi: isolate; }
code { overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--line); padding: .7rem .9rem; margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.badge { display: inline-block; border: 1px solid currentColor; border-radius: 2px; padding: 0 .4rem; font-size: .8rem; font-weight: 600; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .doubtful { color: var(--doubt); } .plain { color: var(--faint); }
.lead { font-size: 1.05rem; }
.note { color: var(--faint); font-size: .9rem; }
details { margin: .4rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
details.finding { border-left: 3px solid var(--line); padding-left: .9rem; margin: .9rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1.25rem 2rem; }
.plots > * { min-width: 0; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; font-size: .9rem; margin-bottom: .25rem; }
figure details { font-size: .85rem; color: var(--faint); } figure details table { color: var(--ink); min-width: 0; }
svg { display: block; width: 100%; max-width: 34rem; height: auto; }
svg text { font: 11.5px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg text.faint { fill: var(--faint); }
svg .grid { stroke: var(--grid); stroke-width: 1; } svg .axis { stroke: var(--faint); stroke-width: 1; }
svg .rule { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 5 3; }
svg .path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .c1 { stroke: var(--s1); } svg .c2 { stroke: var(--s2); } svg .c3 { stroke: var(--s3); }
svg .c4 { stroke: var(--s4); } svg .c5 { stroke: var(--s5); } svg .c6 { stroke: var(--s6); }
svg .f1 { fill: var(--s1); } svg .f2 { fill: var(--s2); } svg .f3 { fill: var(--s3); }
svg .f4 { fill: var(--s4); } svg .f5 { fill: var(--s5); } svg .f6 { fill: var(--s6); } svg .f0 { fill: var(--faint); }
svg.mix { width: 9rem; height: .8rem; margin-top: .3rem; }
footer { color: var(--faint); font-size: .85rem; padding-bottom: 3rem; margin-top: 3rem; overflow-wrap: anywhere; }
@media print {
  body { font-size: 10pt; } nav { display: none; } h2, h3, figcaption { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  figure, tr { break-inside: avoid; } .scroll { overflow: visible; } a { color: inherit; text-decoration: none; }
}
)css";

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_PAGE_STYLE_H_
