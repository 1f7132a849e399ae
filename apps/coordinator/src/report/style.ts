// Colours that are told apart with the common kinds of colour blindness (after Okabe and Ito), lighter on dark ground.
const LIGHT = ['#0072b2', '#c8500a', '#007a5a', '#a64d86', '#8a6a00', '#2b8cc4', '#5b5b66'];
const DARK = ['#56b4e9', '#f08a4b', '#2fc79a', '#e39cc8', '#e6c24d', '#9bd3f5', '#b9b9c4'];

const variables = (colours: readonly string[]): string => colours.map((colour, i) => `--c${i}:${colour}`).join(';');
const perColour = LIGHT.map(
  (_, i) => `.line.c${i}{stroke:var(--c${i})}.dot.c${i}{fill:var(--c${i})}.band.c${i}{fill:var(--c${i})}`,
).join('');

/** All of the page's style: light, dark and print. */
export const STYLE = `
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1b1f;--quiet:#5a5a66;--rule:#d4d4dc;--mark:#e8f1e4;${variables(LIGHT)}}
@media screen and (prefers-color-scheme:dark){:root{--ground:#16161a;--ink:#ececf1;--quiet:#a3a3b0;--rule:#3a3a44;--mark:#24382a;${variables(DARK)}}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem}h2{font-size:1.3rem;margin-top:2.5rem;border-top:2px solid var(--rule);padding-top:1rem}h3{font-size:1.05rem;margin-top:1.8rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);padding-bottom:.5rem;max-width:60rem}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child{text-align:left}thead th{vertical-align:bottom;border-bottom:2px solid var(--rule)}
tbody th{font-weight:600}.settings{display:block;font-weight:400;color:var(--quiet);font-size:.85em}
td.best{background:var(--mark);font-weight:700}
.quiet,figcaption{color:var(--quiet)}.missing{border-left:4px solid var(--c1);padding-left:.8rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(32rem,100%),1fr));gap:1.5rem}
figure{margin:0;break-inside:avoid}figure>svg{width:100%;height:auto}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.3rem 0;font-size:.85rem}
.sample{width:36px;height:10px;vertical-align:middle}
.line{fill:none;stroke-width:2}.band{opacity:.15}.reference{stroke:var(--ink);stroke-width:1.5}
.reference.local-mean{stroke-dasharray:1 4}.reference.pooled{stroke-dasharray:8 4}
.grid{stroke:var(--rule)}svg text{fill:var(--quiet);font:12px system-ui,sans-serif}
pre,code{font-size:.85rem}pre{overflow-x:auto;padding:.8rem;border:1px solid var(--rule)}
td.hash{font-family:monospace;text-align:left}
@media print{body{max-width:none;padding:0;font-size:11px}.scroll{overflow:visible}tr,figure{break-inside:avoid}pre{white-space:pre-wrap}}
${perColour}
`;
