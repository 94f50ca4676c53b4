// The matrix that is shown, and the column of it that a step looks at.

import { lastNotAbove } from './curves.js';

/** @typedef {import('./types.js').Matrix} Matrix */

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
 * @param {{steps: number[], rows: unknown[], values: Float32Array}} table
 * @param {number} column
 * @returns {boolean}
 */
function isEmpty({ steps, rows, values }, column) {
  for (let row = 0; row < rows.length; row += 1) if (!Number.isNaN(values[row * steps.length + column])) return false;
  return true;
}

/**
 * Return what is known of the matrix of a run by the shown statistic.
 * @param {import('./types.js').Scene} scene
 * @param {import('./types.js').RunInfo} run
 * @returns {import('./types.js').Resource<Matrix>}
 */
export function shownMatrix({ answers, statistic }, run) {
  if (statistic === null) return { value: null, error: null, loading: true };
  return answers.matrix(run.run, run.stamp, statistic.id);
}
