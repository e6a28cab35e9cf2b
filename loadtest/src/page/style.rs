//! How pages and pictures look. Colours are told apart by people who see few of them, and by their lightness.

/// What the marks of a chart and the page around it are coloured with.
pub(super) const COLOURS: &str = "\
:root{--paper:#ffffff;--ink:#1c2126;--faint:#5b6570;--rule:#dfe3e8;--card:#f5f7f9;
--c0:#1f6fd6;--c1:#c65d07;--c2:#19805a;--c3:#b3261e;--c4:#7647b8;--c5:#66707a}
@media (prefers-color-scheme:dark){:root{--paper:#14181c;--ink:#e8ecf0;--faint:#9aa6b2;--rule:#2f373f;--card:#1c2228;
--c0:#6aa9ff;--c1:#f2a65a;--c2:#59c99a;--c3:#ff8f86;--c4:#bd9bf2;--c5:#a3adb8}}
svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--faint)}
svg .rule{stroke:var(--rule);stroke-width:1}
svg .base{stroke:var(--faint);stroke-width:1}
svg .mark{stroke:var(--faint);stroke-width:1;stroke-dasharray:3 3}
svg .name{fill:var(--ink)}
svg .title{font-weight:600;font-size:14px;fill:var(--ink)}
svg .paper{fill:var(--paper)}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg .area{stroke:none;fill-opacity:.28}
svg .solid{stroke:none;fill-opacity:.85}
";

/// The page around the charts.
pub(super) const PAGE: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:960px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .4em}
h2{font-size:1.2rem;margin:2.2em 0 .6em;padding-top:.8em;border-top:1px solid var(--rule)}
p{margin:.6em 0;max-width:70ch}
.lead{font-size:1.12rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:1.2em 0}
.figures div{background:var(--card);border-radius:8px;padding:12px 14px}
.figures dt{color:var(--faint);font-size:.85rem}
.figures dd{margin:0;font-size:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
.figures .note{font-size:.82rem;font-weight:400;color:var(--faint)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child{text-align:left;font-weight:500}
thead th{color:var(--faint);font-weight:500}
figure{margin:1.6em 0}
figcaption{color:var(--faint);font-size:.92rem;margin-bottom:.4em}
figcaption b{color:var(--ink);font-weight:600;margin-right:.4em}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.86rem;margin:.2em 0 .4em;padding:0;list-style:none}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}
svg{display:block;width:100%;height:auto}
svg.narrow{display:none}
@media (max-width:600px){main{padding:20px 14px 40px}svg.wide{display:none}svg.narrow{display:block}
th,td{white-space:normal;padding:6px}}
@media print{main{max-width:none}}
";
