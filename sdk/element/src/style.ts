/** Colours and sizes can be set from outside as `--relive-…`. */
const css = `
:host {
  display: block;
  min-height: 220px;
  height: 480px;
  container-type: inline-size;
  color-scheme: light dark;
  color: var(--relive-ink, light-dark(#1d1f23, #e8eaed));
  background: var(--relive-background, light-dark(#fff, #1a1d21));
  font: 14px/1.45 var(--relive-font, system-ui, sans-serif);
  --line: var(--relive-line, light-dark(#e6e6e1, #2a2e34));
  --dim: light-dark(#5a5f68, #a2a9b3);
  overflow: hidden;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.pending { --c: light-dark(#666c75, #9aa1ab); }
.running { --c: var(--relive-running, light-dark(#2259cc, #8ab2ff)); }
.completed { --c: var(--relive-completed, light-dark(#167548, #5fcf9a)); }
.failed, .error { --c: var(--relive-failed, light-dark(#b92a23, #ff8d85)); }
.skipped, .cancelled { --c: light-dark(#6b7079, #949ba5); }
.suspended, .paused, .warn { --c: var(--relive-suspended, light-dark(#8f5600, #f2b257)); }
.page { display: grid; grid-template: auto minmax(0, 3fr) minmax(0, 2fr) / minmax(0, 3fr) minmax(0, 2fr); height: 100%; }
.bar { grid-column: 1 / -1; display: flex; gap: 10px; align-items: baseline; padding: 9px 14px; border-bottom: 1px solid var(--line); }
.bar b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
.bar .status { color: var(--c); font-weight: 600; }
.bar .facts { margin-inline-start: auto; color: var(--dim); white-space: nowrap; font-variant-numeric: tabular-nums; }
.problem { padding: 14px; overflow-wrap: anywhere; }
.note, .facts, header, summary, .log-list span, .debug, small { color: var(--dim); font-size: 12px; }
.note { margin: 0; padding: 8px 14px; }
.graph { overflow: auto; display: grid; align-items: safe center; justify-items: safe center; }
.graph svg { max-width: 100%; height: auto; min-width: min(100%, 420px); }
.card { fill: var(--relive-background, light-dark(#fff, #20242a)); stroke: var(--line); }
.node.running .card, .node.failed .card, .node.suspended .card { stroke: var(--c); stroke-width: 1.5; }
.node.pending, .node.skipped { opacity: 0.72; }
.icon { fill: none; stroke: var(--c); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.node.running .icon { fill: var(--c); stroke: none; }
.name { font-weight: 550; font-size: 13px; fill: currentColor; }
text.label { font-size: 11px; fill: var(--dim); text-anchor: middle; paint-order: stroke; stroke: Canvas; stroke-width: 4px; }
.meta { font-size: 11px; fill: var(--dim); }
.progress { fill: var(--c); }
.edge { fill: none; stroke: light-dark(#b9bdc3, #565c65); stroke-width: 1.4; }
.edge.taken { stroke: light-dark(#167548, #5fcf9a); }
.edge.entering { stroke: light-dark(#2259cc, #8ab2ff); }
.edge.back { stroke-dasharray: 4 3; }
.timeline { overflow: auto; border-top: 1px solid var(--line); padding: 8px 14px; font-size: 12px; }
.lane { display: grid; grid-template-columns: minmax(70px, 24%) 1fr; gap: 10px; align-items: center; height: 20px; }
small { margin-inline-start: 6px; }
.lane-name { padding-inline-start: calc(10px * var(--depth)); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { position: relative; height: 10px; }
.track i { position: absolute; inset-block: 0; min-width: 2px; border-radius: 3px; background: var(--c); }
.side, .messages { display: flex; flex-direction: column; min-height: 0; }
.side { grid-area: 2 / 2 / 4 / 3; border-inline-start: 1px solid var(--line); }
.messages { flex: 1; }
.logs { border-top: 1px solid var(--line); font-size: 12px; }
summary { padding: 6px 14px; cursor: pointer; }
.log-list { max-height: 150px; overflow: auto; padding: 0 14px 6px; }
.log-list :is(b, span) { margin-inline-end: 8px; font-weight: 500; }
.log-list b { color: var(--c); }
.message-list { flex: 1; min-height: 0; overflow: auto; padding: 6px 14px; }
article { padding: 6px 0; }
article p, .log-list p { margin: 2px 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
article.thinking p { color: var(--dim); font-style: italic; }
article.streaming p::after { content: "▍"; color: light-dark(#2259cc, #8ab2ff); }
.earlier { margin: 8px 14px 0; font: inherit; font-size: 12px; }
@container (max-width: 560px) {
  .page { grid-template: auto minmax(0, 2fr) minmax(0, 1fr) minmax(0, 2fr) / minmax(0, 1fr); }
  .side { grid-area: auto; border-inline-start: 0; border-top: 1px solid var(--line); }
  .bar .facts { display: none; }
}
`

let sheet: CSSStyleSheet | undefined

/** Constructed, as a page's Content-Security-Policy may allow no inline styles. */
export function styleSheet(): CSSStyleSheet {
  if (sheet === undefined) {
    sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
  }
  return sheet
}
