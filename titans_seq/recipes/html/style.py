"""How a report looks: on a screen of any width, by day and by night, and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f8fa; --ink: #1f2328; --soft: #57606a; --muted: #6e7781; --grid: #d8dee4;
  --shade: #eaeef2; --blue: #0b62c4; --sea: #0072b2; --orange: #c2510c; --vermilion: #d55e00; --green: #2f8f5b;
  --mint: #009e73; --violet: #8a4fb5; --pink: #b8568f; --gold: #b97a10; --sky: #3492c4;
  --text: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116; --panel: #171b22; --ink: #e6e9ee; --soft: #b1bac4; --muted: #8d96a0; --grid: #30363d;
    --shade: #21262d; --blue: #62a8ff; --sea: #4ab0ee; --orange: #f0883e; --vermilion: #ff8a3d; --green: #57c785;
    --mint: #35c9a0; --violet: #bf94e8; --pink: #ea92c4; --gold: #e3b341; --sky: #7cc7f2;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.6 var(--text); }
.frame { display: grid; grid-template-columns: 13.5rem minmax(0, 58rem); gap: 0 3rem; justify-content: center;
  padding: 0 1.5rem 5rem; }
header { grid-column: 2; padding-top: 3rem; }
nav { grid-column: 1; grid-row: 1 / span 2; padding-top: 3.4rem; font-size: .9rem; }
nav ol { list-style: none; margin: 0; padding: 0; position: sticky; top: 1.5rem; border-left: 2px solid var(--grid); }
nav a { display: block; padding: .2rem 0 .2rem .9rem; color: var(--soft); text-decoration: none; line-height: 1.35; }
nav a:hover { color: var(--blue); }
main { grid-column: 2; min-width: 0; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3.2rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid var(--grid); letter-spacing: -.01em; scroll-margin-top: .5rem; }
h3 { font-size: 1.02rem; margin: 2rem 0 .3rem; overflow-wrap: anywhere; }
p { margin: .55rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--blue); }
.kind { color: var(--muted); font-size: .82rem; text-transform: uppercase; letter-spacing: .08em; margin: 0 0 .5rem; }
.lead { font-size: 1.12rem; line-height: 1.55; }
.note { border-left: 3px solid var(--gold); padding: .1rem 0 .1rem .9rem; color: var(--soft); font-size: .95rem; }
.fault { border-left: 3px solid var(--vermilion); padding: .1rem 0 .1rem .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin: 1.5rem 0; }
.tile { background: var(--panel); border: 1px solid var(--grid); border-radius: .6rem; padding: .85rem 1rem; }
.tile b { display: block; font-size: 1.55rem; line-height: 1.25; font-weight: 650; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.tile span { display: block; font-size: .9rem; line-height: 1.35; }
.tile small { display: block; color: var(--muted); font-size: .8rem; line-height: 1.35; margin-top: .25rem; }
dl.facts { display: grid; grid-template-columns: minmax(8rem, 12rem) minmax(0, 1fr); gap: .25rem 1.2rem;
  margin: 1rem 0; font-size: .95rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; line-height: 1.4; min-width: 55%; }
th, td { padding: .38rem .8rem; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: .2rem; }
td:first-child { min-width: 8rem; }
th { color: var(--muted); font-weight: 600; font-size: .85rem; border-bottom: 2px solid var(--grid); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td small { color: var(--muted); }
tr.strong td { font-weight: 650; background: var(--panel); }
.name { display: inline-block; max-width: 18rem; overflow-wrap: anywhere; }
figure { margin: 1.4rem 0 1.8rem; }
.picture { overflow-x: auto; }
.picture svg { display: block; width: 100%; height: auto; min-width: 36rem; }
.picture.small svg { min-width: 0; max-width: 34rem; }
.picture svg text { fill: var(--ink); }
.picture svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption, .caption { color: var(--soft); font-size: .9rem; line-height: 1.5; margin-top: .4rem; max-width: 46rem; }
code, pre { font-family: var(--mono); font-size: .86rem; }
pre { background: var(--panel); border: 1px solid var(--grid); border-radius: .5rem; padding: .8rem 1rem;
  overflow-x: auto; line-height: 1.5; }
dd code { overflow-wrap: anywhere; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--blue); font-size: .95rem; }
.matrix td { text-align: center; min-width: 3.4rem; border: 2px solid var(--page); font-variant-numeric: tabular-nums;
  line-height: 1.25; }
.matrix th { border-bottom: 0; }
.matrix thead th:not(:first-child) { text-align: center; }
.matrix small { display: block; }
.matrix td.dark { color: #ffffff; }
.matrix td.dark small { color: #dbe7f5; }
footer { grid-column: 2; margin-top: 3rem; color: var(--muted); font-size: .85rem; }
@media (max-width: 64rem) {
  .frame { display: block; padding: 0 1.1rem 3rem; }
  header { padding-top: 1.6rem; }
  nav { padding-top: 1rem; }
  nav ol { position: static; columns: 2; border-left: 0; column-gap: 1.5rem; }
  nav a { padding-left: 0; }
  h1 { font-size: 1.6rem; }
}
@media (max-width: 34rem) { dl.facts { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print {
  .frame { display: block; } nav { display: none; } figure, .tile, tr { break-inside: avoid; }
  details > *:not(summary) { display: block; }
}
"""
