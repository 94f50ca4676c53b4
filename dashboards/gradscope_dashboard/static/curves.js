// Curves and columns as arrays: smoothing, the horizontal axis, and columns of equal width.

/** @typedef {import('./types.js').AxisKind} AxisKind */
/** @typedef {import('./types.js').Columns} Columns */

/**
 * Return the exponential moving average of `values`, freed of the bias towards its start, as TensorBoard's is.
 * @param {ArrayLike<number>} values Values that are not finite are passed on and do not count.
 * @param {number} weight Of the past, 0 to below 1.
 * @returns {number[]}
 */
export function smoothed(values, weight) {
  let sum = 0;
  let count = 0;
  return Array.from(values, (value) => {
    if (weight === 0 || !Number.isFinite(value)) return value;
    sum = sum * weight + (1 - weight) * value;
    count += 1;
    return sum / (1 - weight ** count);
  });
}

/**
 * Return row `row` of `values`, `width` numbers each.
 * @param {Float32Array} values
 * @param {number} row
 * @param {number} width
 * @returns {Float32Array}
 */
export function rowOf(values, row, width) {
  return values.subarray(row * width, (row + 1) * width);
}

/**
 * Return the place of each column on the horizontal axis: step, seconds since the first, or the time on the wall here.
 *
 * Plotly shows milliseconds since 1970 as if everyone lived at Greenwich: what it is given is moved by the time zone.
 * @param {{steps: number[], wall_times: number[]}} columns
 * @param {AxisKind} axis
 * @returns {number[]}
 */
export function places(columns, axis) {
  if (axis === 'step') return columns.steps;
  const began = columns.wall_times[0] ?? 0;
  return columns.wall_times.map((time) =>
    axis === 'wall' ? 1000 * time - 60_000 * new Date(1000 * time).getTimezoneOffset() : time - began,
  );
}

/**
 * Return the index of the last of `sorted` that is not above `value`; 0 where all are.
 * @param {ArrayLike<number>} sorted
 * @param {number} value
 * @returns {number}
 */
export function lastNotAbove(sorted, value) {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (/** @type {number} */ (sorted[middle]) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Columns of equal width over columns that lie unevenly: a value holds until the next was recorded.
 * @typedef {{first: number, width: number, sources: Int32Array}} Grid
 */

/**
 * Return columns of equal width, which a heatmap draws much faster, and which recorded column each shows.
 * @param {number[]} at Where the recorded columns begin, ascending.
 * @param {{most?: number, integer?: boolean}} [options] Most columns; whether a column is at least 1 wide.
 * @returns {Grid}
 */
export function evenly(at, { most = 1200, integer = false } = {}) {
  const first = at[0] ?? 0;
  const last = at[at.length - 1] ?? 0;
  // The last value holds for as long as those before it usually did.
  const gaps = at
    .slice(-6)
    .map((place, index, tail) => (index ? place - /** @type {number} */ (tail[index - 1]) : 0))
    .slice(1);
  const usual = gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)] || 1;
  const span = last - first + usual;
  const width = integer ? Math.max(1, Math.ceil(span / most)) : span / Math.min(most, Math.max(at.length * 4, 300));
  const count = Math.max(1, Math.round(span / width));
  const sources = new Int32Array(count);
  for (let column = 0, source = 0; column < count; column += 1) {
    const until = first + (column + 1) * width - (integer ? 1 : width / 2);
    while (source + 1 < at.length && /** @type {number} */ (at[source + 1]) <= until) source += 1;
    sources[column] = source;
  }
  return { first, width, sources };
}

/**
 * The range of colours over all that is shown at once.
 * @typedef {{low: number, high: number, log: boolean}} Range
 */

/** Decades below the largest value that colours tell apart, as on the report page. */
const DECADES = 12;
/** Of a logarithm: 1e-6 in float32 is a little less, and needs no decade of its own. */
const ROUNDING = 1e-6;

/**
 * What there is in an array of values.
 * @typedef {object} Extent
 * @property {number} low Smallest finite value; above `high` where there is none.
 * @property {number} high
 * @property {number} least Smallest finite value above 0.
 * @property {boolean} any Whether something is recorded.
 * @property {boolean} gaps Whether something is not.
 * @property {boolean} zeros Whether one of them is exactly 0.
 */

/** @type {WeakMap<Float32Array, Extent>} */
const extents = new WeakMap();

/**
 * @param {Float32Array} values
 * @returns {Extent}
 */
export function extentOf(values) {
  const known = extents.get(values);
  if (known) return known;
  const found = { low: Infinity, high: -Infinity, least: Infinity, any: false, gaps: false, zeros: false };
  for (const value of values) {
    if (Number.isNaN(value)) {
      found.gaps = true;
      continue;
    }
    found.any = true;
    if (!Number.isFinite(value)) continue;
    if (value === 0) found.zeros = true;
    if (value < found.low) found.low = value;
    if (value > found.high) found.high = value;
    if (value > 0 && value < found.least) found.least = value;
  }
  extents.set(values, found);
  return found;
}

/**
 * Return the range of colours for `values`, common to all of them; the report page has the same.
 * @param {Float32Array[]} values
 * @param {{scale: 'linear' | 'log', unit: string}} statistic
 * @returns {Range | null} In decades on a logarithmic scale; null where there is no value.
 */
export function commonRange(values, statistic) {
  const all = values.map(extentOf).filter((extent) => extent.any);
  if (all.length === 0) return null;
  if (statistic.unit === 'fraction') return { low: 0, high: 1, log: false };
  const log = statistic.scale === 'log';
  const low = Math.min(...all.map((extent) => (log ? extent.least : extent.low)));
  const high = Math.max(...all.map((extent) => extent.high));
  if (!log) {
    if (low < high) return { low, high, log };
    const around = low === high ? Math.max(Math.abs(low), 1) / 2 : 0;
    return low === high ? { low: low - around, high: high + around, log } : { low: 0, high: 1, log };
  }
  if (low > high) return { low: -6, high: 0, log };
  const top = Math.ceil(Math.log10(high) - ROUNDING);
  const bottom = Math.min(Math.floor(Math.log10(low) + ROUNDING), top - 1);
  return { low: Math.max(bottom, top - DECADES), high: top, log };
}

/**
 * Return where `value` lies in the range of colours, as what a heatmap is given: NaN for what is not recorded.
 * @param {number} value
 * @param {Range} range
 * @returns {number}
 */
export function toned(value, range) {
  if (Number.isNaN(value)) return NaN;
  const place = range.log ? (value > 0 ? Math.log10(value) : -Infinity) : value;
  return Math.min(Math.max(place, range.low), range.high);
}
