// The shapes of what the server answers (see http_api.md) and of what the views pass on; types only, no code.

/**
 * One statistic of the schema.
 * @typedef {object} Statistic
 * @property {string} id Table and column, as in `gradients.rms`.
 * @property {string} table A matrix of `activations` has one row a site, of `gradients` one a layer, of `steps` one.
 * @property {string} name
 * @property {string} title
 * @property {string} short The title where there is little room.
 * @property {string} unit
 * @property {string} meaning
 * @property {string} source
 * @property {'linear' | 'log'} scale
 * @property {'high' | 'low'} extreme
 * @property {boolean} main
 * @property {string} group Heading in the menu below which it stands.
 */

/** @typedef {'high' | 'medium' | 'low'} Severity */
/** @typedef {'step' | 'relative' | 'wall'} AxisKind */

/**
 * One recorded run, as the list of runs knows it.
 * @typedef {object} RunInfo
 * @property {string} run
 * @property {string} stamp
 * @property {string | null} model
 * @property {number | null} last_step The newest that is recorded.
 * @property {number | null} trained_to The last that is known of.
 * @property {number | null} last_wall_time
 * @property {number | null} first_wall_time
 * @property {boolean} ended
 * @property {Record<string, unknown>} params
 * @property {{step: number, wall_time: number, resumed: boolean}[]} sessions
 * @property {Severity | null} worst
 */

/**
 * @typedef {object} Finding
 * @property {string} rule
 * @property {Severity} severity
 * @property {string | null} layer
 * @property {number} first_step
 * @property {number} last_step
 * @property {string} message
 * @property {{name: string, value: number | null, threshold: number | null, above: boolean, unit: string}[]} evidence
 * @property {{text: string, code: string}[]} advice With the change as a value, `remedy`, where there is one.
 * @property {string[]} layers
 * @property {number[]} units
 * @property {string} [statistic] In which it is seen; empty, or absent from older runs, where there is none.
 * @property {string | null} cause
 * @property {boolean} [irreversible] Whether no later step can repair it; absent from older runs.
 * @property {string} key
 */

/** @typedef {{findings: Finding[], step: number | null, version: string}} FindingsAnswer */

/**
 * @typedef {object} NetworkDescription
 * @property {string} name
 * @property {{key: string, path: string, class_name: string, order: number, trainable: boolean, dtype: string,
 *   config: Record<string, unknown>}[]} layers
 * @property {{key: string, layer: string, activation: string, profile: Record<string, unknown> | null, units: number,
 *   is_output: boolean}[]} sites
 * @property {{path: string, layer: string, shape: number[], role: string}[]} variables
 * @property {{name: string, reason: string}[]} not_measured
 */

/**
 * When the columns of a thinned answer were recorded.
 * @typedef {object} Columns
 * @property {number[]} steps First step of each column.
 * @property {number[]} last_steps
 * @property {number[]} epochs
 * @property {number[]} wall_times
 * @property {number} recorded Recorded steps in all.
 */

/**
 * @typedef {Columns & {rows: {key: string, layer: string, label: string}[], values: Float32Array, read: number}} Matrix
 *   `read` counts the recorded steps that were looked at.
 */
/** @typedef {{id: string, site?: string, variable?: string}} SeriesName */
/** @typedef {Columns & {series: SeriesName[], values: Float32Array}} Curves */
/**
 * @typedef {Curves & {training_seconds: number, costs: {title: string, meaning: string, seconds: number}[]}} StepCurves
 *   What recording cost, part by part, and what the training took itself.
 */
/** @typedef {{epochs: {epoch: number, step: number, wall_time: number, logs: Record<string, number | null>}[]}} Epochs */
/** @typedef {{steps: number[], wall_times: number[], bins: number, values: Float32Array}} Histograms */
/** @typedef {'active' | 'stuck' | 'dead' | 'confirmed'} UnitState Dead is `confirmed` where its gradient is exactly 0. */
/**
 * @typedef {object} Units
 * @property {number} units
 * @property {number} last_step
 * @property {number} left_out Oldest changes for which the answer had no room.
 * @property {{step: number, unit: number, state: UnitState, dead_since_step: number | null}[]} changes
 */

/**
 * What is known of an answer: the last one, whether a newer one is under way, and what went wrong.
 * @template T
 * @typedef {{value: T | null, error: string | null, loading: boolean}} Resource
 */

/**
 * What a view draws from.
 * @typedef {object} Scene
 * @property {import('./state.js').State} state
 * @property {RunInfo[]} chosen The selected runs, in the order of their columns.
 * @property {Statistic | null} statistic The one that the network is coloured by.
 * @property {import('./theme.js').Theme} theme
 * @property {import('./api.js').Answers} answers
 * @property {import('./index.js').Actions} actions
 */

/** @typedef {(scene: Scene) => void} Update */

export {};
