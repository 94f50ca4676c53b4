// What is shown, as a CSV file: exact values, names quoted, nothing that a spreadsheet would run as a formula.

/**
 * Return rows as CSV (RFC 4180), the first row naming the columns.
 * @param {(string | number | null)[][]} rows
 * @returns {string}
 */
export function csv(rows) {
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/**
 * @param {string | number | null} value
 * @returns {string} Empty for what is not recorded.
 */
function cell(value) {
  if (value === null) return '';
  if (typeof value === 'number')
    return Number.isNaN(value) ? '' : value === Infinity ? 'inf' : value === -Infinity ? '-inf' : String(value);
  // Spreadsheets run a cell that begins so as a formula; the apostrophe makes it text.
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Save rows as a CSV file.
 * @param {(string | number | null)[][]} rows
 * @param {string} name
 */
export function saveCsv(rows, name) {
  const url = URL.createObjectURL(new Blob(['\ufeff', csv(rows)], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Return a name of a file for what its parts name.
 * @param {...string} parts
 * @returns {string}
 */
export function fileName(...parts) {
  return ['gradscope', ...parts]
    .map((part) => part.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[-.]+|[-.]+$/g, ''))
    .filter(Boolean)
    .join('_')
    .slice(0, 120);
}

/**
 * @param {import('./types.js').Matrix} matrix
 * @param {string} run
 * @param {string} statistic
 * @returns {(string | number | null)[][]}
 */
export function matrixRows(matrix, run, statistic) {
  const width = matrix.steps.length;
  return [
    ['run', 'layer', 'row', 'first_step', 'last_step', 'epoch', 'wall_time', statistic],
    ...matrix.rows.flatMap((row, index) =>
      matrix.steps.map((step, column) => [
        run,
        row.layer,
        row.key,
        step,
        matrix.last_steps[column] ?? step,
        matrix.epochs[column] ?? null,
        matrix.wall_times[column] ?? null,
        matrix.values[index * width + column] ?? null,
      ]),
    ),
  ];
}

/**
 * @param {import('./types.js').Curves} curves
 * @param {string} run
 * @returns {(string | number | null)[][]}
 */
export function curveRows(curves, run) {
  const width = curves.steps.length;
  return [
    ['run', 'first_step', 'last_step', 'epoch', 'wall_time', ...curves.series.map(seriesName)],
    ...curves.steps.map((step, column) => [
      run,
      step,
      curves.last_steps[column] ?? step,
      curves.epochs[column] ?? null,
      curves.wall_times[column] ?? null,
      ...curves.series.map((_, index) => curves.values[index * width + column] ?? null),
    ]),
  ];
}

/**
 * @param {import('./types.js').SeriesName} series
 * @returns {string}
 */
function seriesName(series) {
  const of = series.site ?? series.variable;
  return of === undefined ? series.id : `${series.id} of ${of}`;
}
