// What was recorded when: answers without the columns behind the last step, and the column that a step looks at.

import { lastNotAbove } from './curves.js';

/** @typedef {import('./types.js').Matrix} Matrix */
/** @typedef {import('./types.js').StepCurves} StepCurves */

/** @type {WeakMap<Matrix, {last: number, cut: Matrix}>} */
const cuts = new WeakMap();

/**
 * Return a matrix without empty columns behind the training's last step, the same object each time.
 *
 * The census at the end of a training stands behind its last step and holds dead units alone. An empty column at a step
 * of the training stays: there everything was NaN.
 * @param {Matrix} matrix
 * @param {number} last Last recorded step of the training.
 * @returns {Matrix}
 */
export function withoutCensus(matrix, last) {
  const known = cuts.get(matrix);
  if (known && known.last === last) return known.cut;
  const width = matrix.steps.length;
  let kept = width;
  while (kept > 0 && /** @type {number} */ (matrix.steps[kept - 1]) > last && isEmpty(matrix, kept - 1)) kept -= 1;
  const cut = kept === width ? matrix : first(matrix, kept);
  cuts.set(matrix, { last, cut });
  return cut;
}

/**
 * Return the steps of a training without the census at its end, of which no column of this table is recorded.
 * @param {StepCurves} curves
 * @returns {StepCurves}
 */
export function ofTraining(curves) {
  const width = curves.steps.length;
  const rows = curves.series.length;
  let kept = width;
  while (kept > 0 && isEmpty({ ...curves, rows: new Array(rows) }, kept - 1)) kept -= 1;
  return kept === width
    ? curves
    : { ...first({ ...curves, rows: new Array(rows) }, kept), recorded: curves.recorded - (width - kept) };
}

/**
 * @template {import('./types.js').Columns & {rows: unknown[], values: Float32Array}} T
 * @param {T} table
 * @param {number} kept
 * @returns {T} With the first `kept` columns.
 */
function first(table, kept) {
  const width = table.steps.length;
  const values = new Float32Array(table.rows.length * kept);
  for (let row = 0; row < table.rows.length; row += 1)
    values.set(table.values.subarray(row * width, row * width + kept), row * kept);
  return {
    ...table,
    values,
    steps: table.steps.slice(0, kept),
    last_steps: table.last_steps.slice(0, kept),
    epochs: table.epochs.slice(0, kept),
    wall_times: table.wall_times.slice(0, kept),
  };
}

/**
 * @param {{steps: number[], rows: unknown[], values: Float32Array}} table
 * @param {number} column
 * @returns {boolean}
 */
function isEmpty({ steps, rows, values }, column) {
  for (let row = 0; row < rows.length; row += 1) if (!Number.isNaN(values[row * steps.length + column])) return false;
  return true;
}

/**
 * Return the column to show at `step`: the last one up to it in which something is recorded.
 * @param {Matrix} matrix
 * @param {number | null} step Null for the latest.
 * @returns {number}
 */
export function columnAt(matrix, step) {
  const at = step === null ? matrix.steps.length - 1 : lastNotAbove(matrix.steps, step);
  for (let column = at; column >= 0; column -= 1) if (!isEmpty(matrix, column)) return column;
  return Math.max(0, at);
}

/**
 * Return what is known of the matrix of a run by the shown statistic.
 * @param {import('./types.js').Scene} scene
 * @param {import('./types.js').RunInfo} run
 * @returns {import('./types.js').Resource<Matrix>}
 */
export function shownMatrix({ answers, statistic }, run) {
  if (statistic === null) return { value: null, error: null, loading: true };
  const answer = answers.matrix(run.run, run.stamp, statistic.id);
  const steps = answers.steps(run.run, run.stamp).value;
  if (answer.value === null || steps === null) return answer;
  return { ...answer, value: withoutCensus(answer.value, steps.last_steps.at(-1) ?? Infinity) };
}
