// The column at the left: which runs are shown, and how curves are drawn.

import { h, replaceChildren, whenChanged } from '../dom.js';
import { counted, duration, name, whole } from '../format.js';
import { chosenRuns, filteredRuns, withChosen, withToggled } from '../state.js';
import { colourOf } from '../theme.js';
import { severityMark } from './severity.js';

/** Rows drawn of a long list of runs; the filter finds the others. */
const LISTED = 500;

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createSidebar(root) {
  /** @type {import('../types.js').Scene} */
  let scene;
  const filter = h('input', {
    type: 'search',
    id: 'filter',
    placeholder: 'Filter runs (regex)',
    spellcheck: false,
    autocomplete: 'off',
    'aria-describedby': 'filter-note',
    oninput: () => scene.actions.change((state) => ({ ...state, filter: filter.value })),
  });
  const filterNote = h('p', { id: 'filter-note', class: 'note', 'aria-live': 'polite' });
  const list = h('ul', { class: 'runs', 'aria-label': 'Runs' });
  const all = h(
    'button',
    {
      type: 'button',
      class: 'quiet',
      onclick: () =>
        scene.actions.change((state) =>
          withChosen(
            state,
            filteredRuns(state)
              .runs.slice(0, LISTED)
              .map((run) => run.run),
          ),
        ),
    },
    'All',
  );
  const none = h(
    'button',
    {
      type: 'button',
      class: 'quiet',
      onclick: () =>
        scene.actions.change((state) => {
          const seen = new Set(filteredRuns(state).runs.map((run) => run.run));
          return withChosen(
            state,
            chosenRuns(state)
              .map((run) => run.run)
              .filter((run) => !seen.has(run)),
          );
        }),
    },
    'None',
  );
  const smoothing = h('input', {
    type: 'range',
    id: 'smoothing',
    min: '0',
    max: '0.99',
    step: '0.01',
    oninput: () => scene.actions.change((state) => ({ ...state, smoothing: Number(smoothing.value) })),
  });
  const smoothingValue = h('output', { for: 'smoothing' });
  const axis = h(
    'select',
    {
      id: 'axis',
      onchange: () =>
        scene.actions.change((state) => ({
          ...state,
          axis: /** @type {import('../types.js').AxisKind} */ (axis.value),
        })),
    },
    h('option', { value: 'step' }, 'Step'),
    h('option', { value: 'relative' }, 'Relative'),
    h('option', { value: 'wall' }, 'Wall'),
  );
  const reload = h('button', { type: 'button', onclick: () => scene.actions.reload() }, 'Reload');
  root.append(
    h('h2', null, 'Runs'),
    h('label', { class: 'hidden-label', for: 'filter' }, 'Filter runs by a regular expression'),
    filter,
    filterNote,
    h('div', { class: 'row' }, h('span', { class: 'note' }, 'Select'), all, none),
    list,
    h('h2', null, 'Settings'),
    h('div', { class: 'setting' }, h('label', { for: 'axis' }, 'Horizontal axis'), axis),
    h('div', { class: 'setting' }, h('label', { for: 'smoothing' }, 'Smoothing'), smoothing, smoothingValue),
    h('p', { class: 'note' }, 'Smoothing is of curves; heatmaps show what was recorded.'),
    h('div', { class: 'row' }, reload, h('span', { class: 'note' }, 'looks by itself every 10 s')),
  );

  const showRuns = whenChanged((/** @type {ReturnType<typeof entry>[]} */ entries) => {
    replaceChildren(
      list,
      ...entries.map((item) => listItem(item, () => scene.actions.change((state) => withToggled(state, item.run)))),
    );
  });

  return (now) => {
    scene = now;
    const { state } = now;
    const { runs, valid } = filteredRuns(state);
    if (document.activeElement !== filter) filter.value = state.filter;
    filter.setAttribute('aria-invalid', String(!valid));
    const total = state.runs?.length ?? 0;
    filterNote.textContent = !valid
      ? 'Not a regular expression: all runs are shown.'
      : state.filter
        ? `${whole(runs.length)} of ${counted(total, 'run')}`
        : runs.length > LISTED
          ? `The first ${LISTED} of ${whole(runs.length)} runs; filter to see others.`
          : '';
    smoothing.value = String(state.smoothing);
    smoothingValue.textContent = state.smoothing.toFixed(2);
    axis.value = state.axis;
    showRuns(runs.slice(0, LISTED).map((run) => entry(now, run)));
  };
}

/**
 * @param {import('../types.js').Scene} scene
 * @param {import('../types.js').RunInfo} run
 */
function entry(scene, run) {
  const chosen = scene.chosen.includes(run);
  return {
    run: run.run,
    chosen,
    colour: chosen ? colourOf(scene.theme, scene.state, run.run) : 'transparent',
    worst: run.worst,
    about: about(run),
  };
}

/**
 * @param {import('../types.js').RunInfo} run
 * @returns {string}
 */
function about({ trained_to: last, last_wall_time: until, first_wall_time: since, ended }) {
  if (last === null) return 'nothing recorded yet';
  const time = until !== null && since !== null ? duration(until - since) : '';
  return [ended ? '' : 'not ended', `to step ${whole(last)}`, time].filter(Boolean).join(', ');
}

/**
 * @param {ReturnType<typeof entry>} item
 * @param {() => void} toggle
 * @returns {HTMLElement}
 */
function listItem(item, toggle) {
  const box = h('input', { type: 'checkbox', checked: item.chosen, onchange: toggle });
  box.dataset.key = `run ${item.run}`;
  const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
  dot.style.background = item.colour;
  return h(
    'li',
    { title: name(item.run) },
    h(
      'label',
      null,
      box,
      dot,
      h(
        'span',
        { class: 'run-name' },
        h('span', { class: 'name' }, name(item.run)),
        h('span', { class: 'note' }, item.about),
      ),
      item.worst && severityMark(item.worst, { short: true }),
    ),
  );
}
