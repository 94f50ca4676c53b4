// What the person has chosen and which runs there are: one plain value, changed by pure functions.

/** @typedef {import('./types.js').RunInfo} RunInfo */
/** @typedef {import('./types.js').Finding} Finding */
/** @typedef {import('./types.js').Statistic} Statistic */
/** @typedef {import('./link.js').Link} Link */

/**
 * @typedef {object} State
 * @property {Statistic[]} statistics What can be shown.
 * @property {RunInfo[] | null} runs All recorded runs; null before the first answer.
 * @property {string[] | null} chosen Selected runs in the order of their columns; null as long as nobody has chosen.
 * @property {Record<string, number>} colours Place of each selected run in the palette.
 * @property {string[]} vanished Selected runs that are no longer there.
 * @property {string} filter Regular expression of the run list.
 * @property {string | null} statistic Null: the one that shows the worst finding.
 * @property {number | null} step Null: the latest one, also while more are recorded.
 * @property {string | null} layer The layer whose page is open.
 * @property {number} smoothing Weight of the past in curves, 0 to 0.99.
 * @property {import('./types.js').AxisKind} axis
 */

/** Runs selected when nobody has chosen yet: the sickest, and one to hold it against. */
export const FIRST_CHOICE = 2;
export const MOST_COLUMNS = 3;
const FIRST_STATISTIC = 'gradients.rms';

const RANK = { high: 3, medium: 2, low: 1 };

/**
 * @param {import('./types.js').Severity | null} severity
 * @returns {number} Larger is worse; 0 for no finding.
 */
export function rank(severity) {
  return severity === null ? 0 : (RANK[severity] ?? 0);
}

/**
 * @param {Link} link
 * @returns {State}
 */
export function initial(link) {
  /** @type {State} */
  const state = {
    statistics: [],
    runs: null,
    chosen: null,
    colours: {},
    vanished: [],
    filter: '',
    statistic: null,
    step: null,
    layer: null,
    smoothing: 0,
    axis: 'step',
  };
  return withLink(state, link);
}

/**
 * Return the state that a link describes; what it does not name is as at the beginning.
 * @param {State} state
 * @param {Link} link
 * @returns {State}
 */
export function withLink(state, link) {
  return withChosen(
    {
      ...state,
      filter: link.filter ?? '',
      statistic: link.statistic ?? null,
      step: link.step ?? null,
      layer: link.layer ?? null,
      smoothing: link.smoothing ?? 0,
      axis: link.axis ?? 'step',
    },
    link.runs ?? null,
  );
}

/**
 * @param {State} state
 * @returns {Link}
 */
export function linkOf(state) {
  return {
    runs: state.chosen,
    statistic: state.statistic,
    step: state.step,
    layer: state.layer,
    smoothing: state.smoothing || null,
    axis: state.axis === 'step' ? null : state.axis,
    filter: state.filter || null,
  };
}

/**
 * Return the state with these runs selected; each keeps its colour as long as it is.
 * @param {State} state
 * @param {string[] | null} chosen
 * @returns {State}
 */
export function withChosen(state, chosen) {
  return { ...state, chosen, colours: coloursOf(chosen ?? [], state.colours), vanished: [] };
}

/**
 * @param {string[]} chosen
 * @param {Record<string, number>} before
 * @returns {Record<string, number>}
 */
function coloursOf(chosen, before) {
  /** @type {Record<string, number>} */
  const colours = Object.create(null); // a run may be called __proto__
  for (const run of chosen) if (Object.hasOwn(before, run)) colours[run] = /** @type {number} */ (before[run]);
  const taken = new Set(Object.values(colours));
  for (const run of chosen) {
    if (Object.hasOwn(colours, run)) continue;
    let place = 0;
    while (taken.has(place)) place += 1;
    taken.add(place);
    colours[run] = place;
  }
  return colours;
}

/**
 * Return the state after an answer about the runs: those that are gone are no longer selected.
 * @param {State} state
 * @param {RunInfo[]} runs
 * @returns {State}
 */
export function withRuns(state, runs) {
  const next = { ...state, runs };
  const there = new Set(runs.map((run) => run.run));
  if (state.chosen === null) {
    const first = firstChoice(runs);
    return { ...next, colours: coloursOf(first, state.colours) };
  }
  const gone = state.chosen.filter((run) => !there.has(run));
  const back = state.vanished.filter((run) => there.has(run));
  if (gone.length === 0 && back.length === 0) return next;
  const kept = [...state.chosen.filter((run) => there.has(run)), ...back];
  const vanished = [...state.vanished.filter((run) => !there.has(run)), ...gone];
  return { ...next, chosen: kept, colours: coloursOf(kept, state.colours), vanished };
}

/**
 * Return what to select at first: the run with the worst finding, the later one of equals, then the next in the list.
 * @param {RunInfo[]} runs
 * @returns {string[]}
 */
export function firstChoice(runs) {
  const sickest = [...runs].sort(
    (a, b) => rank(b.worst) - rank(a.worst) || (b.last_wall_time ?? 0) - (a.last_wall_time ?? 0),
  )[0];
  if (sickest === undefined) return [];
  const latest = runs
    .filter((run) => run !== sickest && run.last_step !== null)
    .sort((a, b) => rank(a.worst) - rank(b.worst) || (b.last_wall_time ?? 0) - (a.last_wall_time ?? 0));
  return [sickest, ...latest].slice(0, FIRST_CHOICE).map((run) => run.run);
}

/**
 * Return the selected runs, in the order of their columns.
 * @param {State} state
 * @returns {RunInfo[]}
 */
export function chosenRuns(state) {
  const runs = state.runs ?? [];
  const names = state.chosen ?? firstChoice(runs);
  return names.flatMap((name) => runs.find((run) => run.run === name) ?? []);
}

/**
 * @param {State} state
 * @param {string} run
 * @returns {State}
 */
export function withToggled(state, run) {
  const names = chosenRuns(state).map((info) => info.run);
  return withChosen(state, names.includes(run) ? names.filter((name) => name !== run) : [...names, run]);
}

/**
 * Return the runs that the filter lets through; all of them while it is not a regular expression yet.
 * @param {State} state
 * @returns {{runs: RunInfo[], valid: boolean}}
 */
export function filteredRuns(state) {
  const runs = state.runs ?? [];
  try {
    const pattern = new RegExp(state.filter, 'i');
    return { runs: runs.filter((run) => pattern.test(run.run)), valid: true };
  } catch {
    return { runs, valid: false };
  }
}

/**
 * Return the statistics that the network can be coloured by: those of its sites or layers, not of a step as a whole.
 * @param {State} state
 * @returns {Statistic[]}
 */
export function layered(state) {
  return state.statistics.filter((statistic) => statistic.table !== 'steps');
}

/**
 * Return the statistic to colour the network by: the chosen one, else that in which the worst finding is seen.
 * @param {State} state
 * @param {Finding[]} findings Of the selected runs.
 * @returns {Statistic | null}
 */
export function shownStatistic(state, findings) {
  const worst = [...findings].sort((a, b) => rank(b.severity) - rank(a.severity))[0];
  const all = layered(state);
  for (const id of [state.statistic, worst?.statistic, FIRST_STATISTIC]) {
    const found = all.find((statistic) => statistic.id === id);
    if (found) return found;
  }
  return all[0] ?? null;
}
