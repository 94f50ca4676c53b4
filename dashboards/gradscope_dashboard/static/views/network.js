// The network as a heatmap, layers down and steps across, coloured by one statistic; two or three runs on one scale.

import { absence } from '../api.js';
import { shownMatrix } from '../columns.js';
import { commonRange, extentOf } from '../curves.js';
import { h, replaceChildren, whenChanged } from '../dom.js';
import { fileName, matrixRows, saveCsv } from '../download.js';
import { name, number, steps, whole } from '../format.js';
import { savePicture } from '../plot.js';
import { MOST_COLUMNS, rank } from '../state.js';
import { colourLegend } from './colour_legend.js';
import { createFigures } from './figures.js';
import { createHeatmap } from './heatmap.js';
import { runTitle } from './run_title.js';
import { SYMBOLS } from './severity.js';
import { createStatisticMenu } from './statistic_menu.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').Matrix} Matrix */
/** @typedef {import('../types.js').RunInfo} RunInfo */

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createNetwork(root) {
  const menu = createStatisticMenu();
  const legend = h('div', { class: 'legend' });
  const opener = createOpener();
  const columns = h('div', { class: 'columns' });
  root.append(menu.element, h('div', { class: 'row spread' }, legend, opener.element), columns);
  const cards = createFigures(columns, createCard);

  const showLegend = whenChanged((/** @type {Parameters<typeof colourLegend>[0] | null} */ about) => {
    replaceChildren(legend, ...(about ? colourLegend(about) : []));
  });

  return (scene) => {
    const { statistic } = scene;
    menu.update(scene);
    const shown = scene.chosen.slice(0, MOST_COLUMNS);
    cards.arrange(shown.map((run) => ({ key: run.run })));
    const found = shown.map((run) => shownMatrix(scene, run));
    const matrices = found.flatMap((answer) => answer.value ?? []);
    const range =
      statistic &&
      commonRange(
        matrices.map((matrix) => matrix.values),
        statistic,
      );
    showLegend(
      statistic && range
        ? {
            title: statistic.title,
            unit: statistic.unit,
            range,
            gaps: matrices.some((matrix) => extentOf(matrix.values).gaps),
            zeros: range.log && matrices.some((matrix) => extentOf(matrix.values).zeros),
          }
        : null,
    );
    opener.update(scene, matrices);
    shown.forEach((run, index) => {
      const answer = found[index];
      cards
        .get(run.run)
        ?.update(
          scene,
          run,
          answer?.value ?? null,
          answer ? absence(answer) : 'Loading …',
          answer?.error ?? null,
          range,
        );
    });
  };
}

/** Return the card of one run: its heatmap and what can be saved of it. */
function createCard() {
  /** @type {{scene: Scene, run: RunInfo, matrix: Matrix} | null} */
  let now = null;
  const heatmap = createHeatmap(
    (row, column) => (now ? cellText(now.scene, now.matrix, row, column) : []),
    (row, column) =>
      now && now.scene.actions.open(now.matrix.rows[row]?.layer ?? null, now.matrix.steps[column] ?? null),
  );
  const head = h('div');
  const status = h('p', { class: 'note status', 'aria-live': 'polite' });
  const retry = h('button', { type: 'button', hidden: true }, 'Try again');
  const element = h('div', { class: 'column card' }, head, status, retry, heatmap.element);
  const title = whenChanged((/** @type {unknown[]} */ _key) => {
    if (!now) return;
    replaceChildren(head, runTitle(now.scene, now.run, ...savers()));
  });

  function savers() {
    return [
      h(
        'button',
        {
          type: 'button',
          class: 'quiet',
          title: 'Save what is shown as CSV',
          onclick: () =>
            now && saveCsv(matrixRows(now.matrix, now.run.run, now.scene.statistic?.id ?? ''), fileNameOf(now)),
        },
        'CSV',
      ),
      h(
        'button',
        { type: 'button', class: 'quiet', title: 'Save the heatmap as PNG', onclick: () => now && savePng(now) },
        'PNG',
      ),
    ];
  }

  /** @param {NonNullable<typeof now>} shown */
  function savePng({ scene, run }) {
    const title = `${run.run}: ${scene.statistic?.title ?? ''}`;
    void savePicture(heatmap.element, fileNameOf({ scene, run }), title, ({ data }) => {
      const log = scene.statistic?.scale === 'log';
      data[0].showscale = true;
      data[0].colorbar = {
        thickness: 12,
        tickprefix: log ? '1e' : '',
        tickformat: scene.statistic?.unit === 'fraction' ? '.0%' : '',
      };
    });
  }

  return {
    element,
    remove: () => heatmap.remove(),
    /**
     * @param {Scene} scene
     * @param {RunInfo} run
     * @param {Matrix | null} matrix
     * @param {string} missing
     * @param {string | null} error
     * @param {import('../curves.js').Range | null} range
     */
    update(scene, run, matrix, missing, error, range) {
      now = {
        scene,
        run,
        matrix: matrix ?? {
          rows: [],
          steps: [],
          last_steps: [],
          epochs: [],
          wall_times: [],
          recorded: 0,
          read: 0,
          values: new Float32Array(),
        },
      };
      title([run.run, scene.theme.dark, scene.state.colours[run.run]]);
      const nothing = matrix !== null && (matrix.steps.length === 0 || matrix.rows.length === 0);
      const seen = matrix !== null && !nothing && range !== null;
      heatmap.element.hidden = !seen;
      retry.hidden = error === null;
      retry.onclick = scene.actions.retry;
      status.textContent = seen
        ? (error ?? unread(matrix))
        : matrix === null
          ? missing
          : nothing
            ? 'Nothing is recorded yet.'
            : `${scene.statistic?.title ?? 'This'} is not recorded in this run: every value is missing.`;
      status.hidden = status.textContent === '';
      if (!seen) return;
      heatmap.update(
        {
          columns: matrix,
          labels: matrix.rows.map((row) => row.label),
          values: matrix.values,
          range,
          axis: scene.state.axis,
          theme: scene.theme,
          marks: marksOf(scene, run, matrix),
        },
        scene.state.step,
      );
    },
  };
}

/**
 * Return a sentence about the recorded steps that the picture leaves out; empty where it shows them all.
 * @param {Matrix} matrix
 * @returns {string}
 */
function unread({ read, recorded }) {
  if (read >= recorded) return '';
  return `Drawn from ${whole(read)} of ${whole(recorded)} recorded steps: the others hold nothing of it, or had no room in one answer.`;
}

/**
 * @param {{scene: Scene, run: RunInfo}} shown
 * @returns {string}
 */
function fileNameOf({ scene, run }) {
  return fileName(run.run, scene.statistic?.name ?? '');
}

/**
 * Return where the findings of a run begin, the worst of each layer.
 * @param {Scene} scene
 * @param {RunInfo} run
 * @param {Matrix} matrix
 * @returns {import('./heatmap.js').Mark[]}
 */
function marksOf(scene, run, matrix) {
  const findings = scene.answers.findings(run.run, run.stamp).value?.findings ?? [];
  return matrix.rows.flatMap(({ layer }, row) => {
    if (matrix.rows.findIndex((other) => other.layer === layer) !== row) return [];
    const [worst] = findings
      .filter((finding) => finding.layer === layer && finding.severity !== 'low')
      .sort((a, b) => rank(b.severity) - rank(a.severity));
    return worst ? [{ row, step: worst.first_step, text: SYMBOLS[worst.severity], severity: worst.severity }] : [];
  });
}

/**
 * @param {Scene} scene
 * @param {Matrix} matrix
 * @param {number} row
 * @param {number} column
 * @returns {string[]}
 */
function cellText({ statistic, chosen }, matrix, row, column) {
  const value = matrix.values[row * matrix.steps.length + column] ?? NaN;
  const first = matrix.steps[column] ?? 0;
  const last = matrix.last_steps[column] ?? first;
  const pooled = last > first ? `, ${statistic?.extreme === 'low' ? 'smallest' : 'largest'} of these` : '';
  return [
    `${statistic?.title ?? ''} ${number(value, statistic?.unit)}`,
    name(matrix.rows[row]?.label ?? ''),
    `${steps(first, last)}${pooled}, epoch ${matrix.epochs[column] ?? '?'}`,
    statistic?.meaning ?? '',
    chosen.length ? 'Click to open the layer at this step.' : '',
  ].filter(Boolean);
}

/** Return the menu that opens the page of a layer without a pointer. */
function createOpener() {
  /** @type {Scene | null} */
  let scene = null;
  const select = h('select', {
    id: 'open-layer',
    onchange: () => {
      if (select.value !== '') scene?.actions.open(keys[Number(select.value)] ?? null);
      select.value = '';
    },
  });
  /** @type {string[]} */
  let keys = [];
  const show = whenChanged((/** @type {string[]} */ layers) => {
    keys = layers;
    replaceChildren(
      select,
      h('option', { value: '' }, 'Open a layer …'),
      ...layers.map((layer, index) => h('option', { value: String(index) }, name(layer))),
    );
  });
  return {
    element: h(
      'div',
      { class: 'opener' },
      h('label', { class: 'hidden-label', for: 'open-layer' }, 'Open a layer'),
      select,
    ),
    /**
     * @param {Scene} now
     * @param {Matrix[]} matrices
     */
    update(now, matrices) {
      scene = now;
      show([...new Set(matrices.flatMap((matrix) => matrix.rows.map((row) => row.layer)))]);
    },
  };
}
