// Entry of the tab: TensorBoard imports this module and calls `render`. It joins state, server, address and views.

import * as api from './api.js';
import { h } from './dom.js';
import * as link from './link.js';
import { load as loadPlotly } from './plot.js';
import * as store from './state.js';
import { whenReloaded } from './tensorboard.js';
import * as themes from './theme.js';
import { adoptTypeface } from './typeface.js';
import { createCompare } from './views/compare.js';
import { createEmpty } from './views/empty.js';
import { createFindings } from './views/findings.js';
import { createLayer } from './views/layer.js';
import { createNetwork } from './views/network.js';
import { createNotice } from './views/notice.js';
import { createProfile } from './views/profile.js';
import { createRecording } from './views/recording.js';
import { createSidebar } from './views/sidebar.js';
import { createStepper } from './views/stepper.js';
import { createTraining } from './views/training.js';

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./types.js').Scene} Scene */

/**
 * What views may ask for.
 * @typedef {object} Actions
 * @property {(change: (state: State) => State) => void} change
 * @property {(layer: string | null, step?: number | null) => void} open Open the page of a layer, or the network's.
 * @property {() => void} reload
 * @property {() => void} retry
 */

/** Milliseconds between two looks for new records while the page is seen. */
const POLL = 10_000;
/** Milliseconds after which a change stands in the address: browsers refuse too many changes of it. */
const ADDRESS_DELAY = 250;

/** Build the page and keep it up to date. */
export async function render() {
  document.documentElement.lang = 'en';
  document.title = 'GradScope';
  document.head.append(h('meta', { name: 'viewport', content: 'width=device-width' }));
  adoptTypeface();
  void offer().catch(() => undefined); // asked for again, and told of, below
  await stylesheet('static/style.css');

  let state = store.initial(link.current());
  /** @type {Error | null} */
  let failure = null;
  let theme = themes.current();
  let wanted = false;
  let drawable = false;
  /** @type {number | undefined} */
  let later;
  const answers = api.createAnswers(paint);

  /** @type {Actions} */
  const actions = {
    change(change) {
      state = change(state);
      paint();
      rememberSoon();
    },
    open(layer, step) {
      if (layer === state.layer && (step === undefined || step === state.step)) return;
      const turned = layer !== state.layer;
      if (turned) {
        remember();
        history.pushState(null, '');
      }
      state = { ...state, layer, step: step === undefined ? state.step : step };
      paint();
      remember();
      if (turned) window.scrollTo({ top: 0 });
    },
    reload: () => void refresh(),
    retry() {
      answers.retry();
      void refresh();
    },
  };

  const main = h('main', { id: 'main', tabIndex: -1 }, h('h1', { class: 'hidden-label' }, 'GradScope'));
  const sidebar = h('aside', { 'aria-label': 'Runs and settings' });
  const shell = h('div', { class: 'shell' }, sidebar, main);
  const notice = createNotice(section(main, 'notice'));
  const empty = createEmpty(section(main, 'empty'));
  const overview = h('div', { class: 'overview' });
  const page = h('div', { class: 'page' });
  main.append(overview, page);
  const first = [
    createFindings(section(overview, 'findings', 'Findings')),
    createNetwork(section(overview, 'network', 'Network')),
  ];
  const others = [
    createProfile(section(overview, 'profile', 'Profile along depth')),
    createCompare(section(overview, 'compare', 'Layer by layer')),
    createTraining(section(overview, 'training', 'Training')),
    createRecording(section(overview, 'recording', 'Steps recorded and overhead')),
  ];
  const layer = createLayer(page);
  const stepper = createStepper(main);
  const updateSidebar = createSidebar(sidebar);
  document.body.replaceChildren(shell);

  function paint() {
    if (wanted) return;
    wanted = true;
    requestAnimationFrame(() => {
      wanted = false;
      // TensorBoard hides the tab rather than removing it; a figure drawn now would have no size.
      if (document.documentElement.clientWidth > 0) update();
    });
  }

  function update() {
    document.body.classList.toggle('dark', theme.dark);
    const chosen = store.chosenRuns(state);
    const findings = chosen.map((run) => answers.findings(run.run, run.stamp));
    // Which statistic shows the worst finding is not known before the findings are.
    const known =
      state.statistic !== null || findings.every((answer) => answer.value !== null || answer.error !== null);
    const statistic = known
      ? store.shownStatistic(
          state,
          findings.flatMap((answer) => answer.value?.findings ?? []),
        )
      : null;
    /** @type {Scene} */
    const scene = { state, chosen, statistic, theme, answers, actions };
    const none = state.runs?.length === 0;
    updateSidebar(scene);
    if (!drawable) {
      // The server answers while the browser still reads the library that draws.
      for (const run of chosen) answers.steps(run.run, run.stamp);
      if (statistic)
        for (const run of chosen.slice(0, store.MOST_COLUMNS)) answers.matrix(run.run, run.stamp, statistic.id);
      notice({ ...scene, state: { ...state, runs: null } }, failure);
      return;
    }
    notice(scene, failure);
    empty(scene);
    overview.hidden = none || state.runs === null || state.layer !== null || chosen.length === 0;
    page.hidden = none || state.runs === null || state.layer === null || chosen.length === 0;
    if (!overview.hidden) for (const view of first) view(scene);
    if (!page.hidden) layer(scene);
    stepper(scene, !overview.hidden || !page.hidden);
    // The figures further down wait until what is asked for first is on the screen.
    clearTimeout(later);
    later = setTimeout(() => {
      if (!overview.hidden) for (const view of others) view(scene);
      document.body.dataset.state = state.runs === null ? 'loading' : answers.busy() ? 'busy' : 'ready';
      if (document.body.dataset.state === 'ready') prefetch(chosen);
      answers.forget();
    });
    document.body.dataset.state = 'busy';
  }

  /**
   * Ask for the other statistics of the first menu, so that switching to them is immediate.
   * @param {import('./types.js').RunInfo[]} chosen
   */
  function prefetch(chosen) {
    if (state.layer !== null) return;
    for (const run of chosen.slice(0, store.MOST_COLUMNS)) {
      for (const statistic of state.statistics) if (statistic.main) answers.matrix(run.run, run.stamp, statistic.id);
    }
  }

  /** @type {number | undefined} */
  let remembering;
  function rememberSoon() {
    clearTimeout(remembering);
    remembering = setTimeout(remember, ADDRESS_DELAY);
  }

  function remember() {
    clearTimeout(remembering);
    const now = store.linkOf(state);
    history.replaceState({ gradscope: now }, '');
    link.keep(now);
  }

  let refreshing = false;
  async function refresh() {
    if (refreshing) return;
    refreshing = true;
    try {
      const [{ statistics, drawing }, runs] = await Promise.all([offer(), api.runs()]);
      state = store.withRuns({ ...state, statistics }, runs);
      answers.polled();
      paint();
      await drawing;
      drawable = true;
      failure = null;
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
    refreshing = false;
    paint();
  }

  themes.whenChanged(() => {
    theme = themes.current();
    paint();
  });
  window.addEventListener('resize', paint);
  // Back from the page of a layer: the entry holds what was looked at.
  window.addEventListener('popstate', (event) => {
    if (!event.state?.gradscope) return;
    state = store.withLink(state, event.state.gradscope);
    if (state.runs) state = store.withRuns(state, state.runs);
    paint();
    link.keep(store.linkOf(state));
  });
  link.whenFollowed(
    (followed) => {
      state = store.withLink(state, followed);
      if (state.runs) state = store.withRuns(state, state.runs);
      paint();
    },
    () => link.keep(store.linkOf(state)),
  );
  whenReloaded(() => void refresh());
  setInterval(() => {
    if (document.visibilityState === 'visible' && document.documentElement.clientWidth > 0) void refresh();
  }, POLL);
  paint();
  await refresh();
}

/** @type {Promise<{statistics: import('./types.js').Statistic[], drawing: Promise<void>}> | null} */
let offered = null;

/**
 * Ask what can be shown, once, and load the library that draws as soon as its version is known.
 * @returns {NonNullable<typeof offered>}
 */
function offer() {
  offered ??= api.menu().then(({ statistics, plotly }) => {
    const drawing = loadPlotly(plotly);
    drawing.catch(forget); // whoever awaits it is told
    return { statistics, drawing };
  });
  offered.catch(forget);
  return offered;
}

/** Ask again the next time: the server did not answer. */
function forget() {
  offered = null;
}

/**
 * @param {string} address
 * @returns {Promise<void>}
 */
function stylesheet(address) {
  return new Promise((resolve) => {
    document.head.append(
      h('link', { rel: 'stylesheet', href: address, onload: () => resolve(), onerror: () => resolve() }),
    );
  });
}

/**
 * @param {HTMLElement} parent
 * @param {string} id
 * @param {string} [title]
 * @returns {HTMLElement}
 */
function section(parent, id, title) {
  const element = h(
    'section',
    { id, 'aria-labelledby': title ? `${id}-title` : null },
    title && h('h2', { id: `${id}-title` }, title),
  );
  parent.append(element);
  return element;
}
