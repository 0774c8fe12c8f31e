"""The style sheet of the report: dark on light, printable, without any file from elsewhere."""

LOAD_LOW, LOAD_HIGH = (232, 165, 104), (150, 131, 190)
"""Ends of the colour scale of expert loads; white in the middle is an even load. Dark figures are legible on both."""

STYLE_SHEET = """
:root { --ink: #1d2733; --soft: #5d6977; --line: #dde2e8; --pale: #f5f7f9; --accent: #1f5fa8;
        --sub: #fbe3b0; --del: #f6c6bf; --ins: #c4dcf6; --mono: ui-monospace, "SF Mono", Menlo, Consolas,
        "DejaVu Sans Mono", monospace; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif;
       font-variant-numeric: tabular-nums; }
main { max-width: 1120px; margin: 0 auto; padding: 36px 28px 64px; }
h1 { font-size: 28px; line-height: 1.2; overflow-wrap: anywhere; margin: 2px 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 44px 0 4px; padding-top: 16px; border-top: 2px solid var(--ink); }
h3 { font-size: 15px; margin: 26px 0 6px; }
h4 { font-size: 12.5px; margin: 0 0 6px; color: var(--soft); font-weight: 600; }
:is(.scroll, figure) + h4 { margin-top: 18px; }
p { margin: 6px 0 12px; max-width: 78ch; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
code, pre, .mono { font-family: var(--mono); font-size: 12.5px; overflow-wrap: anywhere; }
pre.command { background: var(--pale); border: 1px solid var(--line); border-radius: 4px; padding: 9px 12px;
              white-space: pre-wrap; overflow-wrap: anywhere; margin: 14px 0; }
.kicker { color: var(--soft); font-size: 13px; margin: 0; }
.note { color: var(--soft); font-size: 13.5px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13.5px; margin: 18px 0 0; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 0 24px; margin: 16px 0 0; }
dl.facts div { border-top: 1px solid var(--line); padding: 7px 0 8px; }
dl.facts dt { color: var(--soft); font-size: 12.5px; } dl.facts dd { margin: 0; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px; margin: 22px 0 6px; }
.card { border: 1px solid var(--line); border-top: 3px solid var(--accent); border-radius: 4px;
        padding: 10px 14px 12px; }
.card .set { font-weight: 600; overflow-wrap: anywhere; }
.card .rate { font-size: 30px; line-height: 1.25; font-weight: 650; }
.card .rate small { font-size: 14px; font-weight: 500; color: var(--soft); }
.card .detail { color: var(--soft); font-size: 12.5px; line-height: 1.45; }
aside.missing { background: #fff8e6; border: 1px solid #ecd9a3; border-radius: 4px; padding: 10px 16px;
                margin: 20px 0; font-size: 13.5px; }
aside.missing ul { margin: 4px 0 0; padding-left: 20px; }
.scroll { overflow-x: auto; background: linear-gradient(to left, #fff 30%, #fff0) right / 40px 100% no-repeat local,
          radial-gradient(farthest-side at 100% 50%, #1d273338, #1d273300) right / 14px 100% no-repeat scroll; }
.scroll :is(th, td):first-child { position: sticky; left: 0; background: var(--row, #fff); }
table { border-collapse: collapse; font-size: 13.5px; }
th, td { padding: 5px 14px 5px 0; text-align: left; white-space: nowrap; vertical-align: baseline; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--ink); font-size: 12.5px; }
td { border-bottom: 1px solid var(--line); }
th.n, td.n { text-align: right; padding-right: 18px; }
td small { font-weight: 400; color: var(--soft); font-size: 11.5px; margin-left: 6px; }
table.compare { min-width: 60%; } table.compare :is(th, td).n { padding-right: 12px; }
table.compare td:first-child, table.compare th:first-child { padding-left: 10px; }
.wrap { white-space: normal; } .wrap > * { display: inline-block; white-space: nowrap; }
tr.this { --row: #eaf1f9; background: var(--row); } tr.this td { font-weight: 600; }
tr.this td:first-child { box-shadow: inset 3px 0 var(--accent); }
.change { display: block; font-size: 11.5px; color: var(--soft); line-height: 1.3; }
.change b { color: var(--accent); font-size: 13.5px; }
.answer { background: #eef4fb; border-left: 4px solid var(--accent); border-radius: 4px; padding: 10px 16px;
          margin: 16px 0; }
.answer ul { margin: 4px 0 0; padding-left: 20px; } .answer li { overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--accent); margin: 10px 0; }
.key-line { max-width: none; } .key-line > span { display: inline-block; margin-right: 22px; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 8px; }
td .best { border-bottom: 2px solid var(--accent); }
.tag { display: inline-block; border-radius: 3px; padding: 0 7px; font-size: 12px; font-weight: 600; }
.tag { background: #f0f1f3; }
.tag.dense { background: #e8eaed; color: #414b57; } .tag.switch { background: #fbe7d6; color: #8a430c; }
.tag.omni { background: #dbe9f8; color: #17497f; }
figure { margin: 10px 0 4px; } figure svg { width: 100%; height: auto; display: block; }
figure.wide svg { min-width: 960px; }
figure.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr));
                gap: 14px 12px; }
.row { display: flex; flex-wrap: wrap; gap: 18px 44px; align-items: flex-start; margin: 12px 0 18px; }
.row > * { max-width: 100%; }
table.load td, table.load th { border: 0; padding: 0; text-align: center; font-size: 12px; }
table.load th { font-weight: 500; padding: 2px 6px; vertical-align: middle; }
table.load td { min-width: 40px; height: 27px; border: 1px solid #fff; vertical-align: middle; padding: 0 4px; }
table.load.many td { min-width: 14px; width: 14px; font-size: 0; padding: 0; }
table.load td.effective, table.load.many td.effective { font-size: 12px; color: var(--soft); padding-left: 12px; }
.legend { display: inline-flex; vertical-align: -1px; margin: 0 8px; border: 1px solid var(--line); }
.legend i { width: 20px; height: 12px; display: inline-block; }
.utterance { border-top: 1px solid var(--line); padding: 8px 0 10px; break-inside: avoid; }
.utterance .head { font-size: 12.5px; color: var(--soft); margin-bottom: 4px; }
.utterance .head b { color: var(--ink); font-family: var(--mono); overflow-wrap: anywhere; }
.aligned { display: flex; flex-wrap: wrap; gap: 6px 2px; font-family: var(--mono); font-size: 12.5px;
           line-height: 1.35; overflow-x: auto; }
.aligned > span { display: inline-grid; padding: 1px 4px; border-radius: 3px; }
.aligned > span > span { white-space: pre; }
.aligned .names { color: var(--soft); padding-left: 0; }
.S { background: var(--sub); } .D { background: var(--del); } .I { background: var(--ins); }
.aligned .mark { font-weight: 700; font-size: 11px; color: var(--soft); }
.key { border-radius: 3px; padding: 0 6px; font-size: 12.5px; }
.words td { font-family: var(--mono); font-size: 12.5px; padding-top: 2px; padding-bottom: 2px; }
.words td.n { padding: 2px 0 2px 16px; } .words td:first-child { padding-right: 8px; }
footer { margin-top: 48px; border-top: 1px solid var(--line); padding-top: 10px; color: var(--soft);
         font-size: 12.5px; }
@media (max-width: 600px) {
  main { padding: 20px 16px 40px; } h1 { font-size: 24px; }
  .scroll :is(th, td):first-child { white-space: normal; overflow-wrap: break-word; max-width: 44vw; }
}
@media print {
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h2, h3 { break-after: avoid; } figure, .card, table.load { break-inside: avoid; } .scroll { overflow: visible; }
  th, td { white-space: normal; } figure.wide svg { min-width: 0; }
}
"""
