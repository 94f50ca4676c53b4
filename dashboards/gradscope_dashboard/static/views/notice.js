// What is in the way of showing anything: loading, an error with a way to try again, no run selected, a run that is gone.

import { h, replaceChildren, whenChanged } from '../dom.js';
import { name } from '../format.js';

/**
 * @param {HTMLElement} root
 * @returns {(scene: import('../types.js').Scene, failure: Error | null) => void}
 */
export function createNotice(root) {
  root.setAttribute('aria-live', 'polite');
  /** @type {() => void} */
  let retry = () => undefined;
  const show = whenChanged((/** @type {{text: string, again: boolean, busy: boolean}[]} */ notices) => {
    replaceChildren(
      root,
      ...notices.map(({ text, again, busy }) =>
        h(
          'p',
          { class: `notice${again ? ' failed' : ''}`, role: again ? 'alert' : null },
          busy && h('span', { class: 'spinner', 'aria-hidden': 'true' }),
          h('span', null, text),
          again && h('button', { type: 'button', onclick: () => retry() }, 'Try again'),
        ),
      ),
    );
  });
  return ({ state, chosen, actions }, failure) => {
    retry = actions.retry;
    const notices = [];
    if (failure) notices.push({ text: failure.message, again: true, busy: false });
    else if (state.runs === null) notices.push({ text: 'Loading the recorded runs …', again: false, busy: true });
    for (const run of state.vanished) {
      notices.push({ text: `The run ${name(run)} is no longer in the log directory.`, again: false, busy: false });
    }
    if (state.runs !== null && state.runs.length > 0 && chosen.length === 0) {
      notices.push({ text: 'No run is selected. Select one at the left.', again: false, busy: false });
    }
    show(notices);
    root.hidden = notices.length === 0;
  };
}
