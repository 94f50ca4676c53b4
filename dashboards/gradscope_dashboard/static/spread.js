// Histograms laid on rows common to all steps: which values the rows stand for, and the share of the entries in each.

/** @typedef {import('./types.js').Histograms} Histograms */

/** Rows of the picture. */
export const ROWS = 60;
/** Share of all entries beyond each end of the picture. */
const OUTERMOST = 0.001;

/**
 * @typedef {object} Spread
 * @property {Float32Array} shares Share of a step's entries, `ROWS` rows from the largest value down, one column a step.
 * @property {Float32Array} tones The same as what colours show: against the fullest row of the step; NaN where none lie.
 * @property {number} low
 * @property {number} high
 */

/** @type {WeakMap<Histograms, {low: number, high: number}>} */
const limits = new WeakMap();

/**
 * Return the values between which all but the outermost entries lie, so that one of them does not squeeze the others.
 * @param {Histograms} answer
 * @returns {{low: number, high: number}}
 */
export function limitsOf(answer) {
  const before = limits.get(answer);
  if (before) return before;
  const bins = binsOf(answer.values);
  const total = bins.reduce((sum, bin) => sum + bin[2], 0);
  const bound = (/** @type {0 | 1} */ side) => {
    const ordered = [...bins].sort((a, b) => (side === 0 ? a[0] - b[0] : b[1] - a[1]));
    let passed = 0;
    for (const bin of ordered) {
      passed += bin[2];
      if (passed >= OUTERMOST * total) return bin[side];
    }
    return side;
  };
  const [low, high] = [bound(0), bound(1)];
  const found = low < high ? { low, high } : { low: low - 0.5, high: low + 0.5 };
  limits.set(answer, found);
  return found;
}

/** @type {WeakMap<Histograms, Spread>} */
const spreads = new WeakMap();

/**
 * Return the histograms on bins common to all steps; what a bin counts is spread evenly over its width.
 * @param {Histograms} answer
 * @param {number} low
 * @param {number} high
 * @returns {Spread}
 */
export function spreadOf(answer, low, high) {
  const before = spreads.get(answer);
  if (before && before.low === low && before.high === high) return before;
  const width = answer.steps.length;
  const shares = new Float32Array(ROWS * width);
  const tones = new Float32Array(ROWS * width);
  for (let column = 0; column < width; column += 1) {
    const rows = sharesOf(answer.values.subarray(column * answer.bins * 3, (column + 1) * answer.bins * 3), low, high);
    const fullest = Math.max(...rows);
    rows.forEach((share, row) => {
      shares[row * width + column] = share;
      // The root keeps thin tails to be seen beside a narrow peak.
      tones[row * width + column] = share > 0 ? Math.sqrt(share / fullest) : NaN;
    });
  }
  const spread = { shares, tones, low, high };
  spreads.set(answer, spread);
  return spread;
}

/**
 * Return the share of the entries in each row; what lies beyond the picture is counted at its edge: none is lost.
 * @param {Float32Array} values Left edge, right edge and count, again and again.
 * @param {number} low
 * @param {number} high
 * @returns {number[]} From the largest value down; all 0 where there are no entries.
 */
export function sharesOf(values, low, high) {
  const rows = new Array(ROWS).fill(0);
  const size = (high - low) / ROWS;
  const bins = binsOf(values);
  const total = bins.reduce((sum, bin) => sum + bin[2], 0);
  for (const [left, right, count] of bins) {
    const first = Math.min(ROWS - 1, Math.max(0, Math.floor((left - low) / size)));
    const last = Math.min(ROWS - 1, Math.max(first, Math.ceil((right - low) / size) - 1));
    let passed = 0;
    for (let row = first; row <= last; row += 1) {
      // The first row takes all that lies below its upper edge, the last all that is left.
      const below = row === last ? 1 : Math.min(1, Math.max(passed, (low + (row + 1) * size - left) / (right - left)));
      rows[ROWS - 1 - row] += ((below - passed) * count) / total;
      passed = below;
    }
  }
  return rows;
}

/**
 * @param {Float32Array} values
 * @returns {[left: number, right: number, count: number][]} The bins that hold entries, between finite edges.
 */
function binsOf(values) {
  /** @type {[number, number, number][]} */
  const bins = [];
  for (let at = 0; at < values.length; at += 3) {
    const bin = /** @type {[number, number, number]} */ (/** @type {unknown} */ (values.subarray(at, at + 3)));
    if (bin[2] > 0 && Number.isFinite(bin[0]) && Number.isFinite(bin[1])) bins.push(bin);
  }
  return bins;
}
