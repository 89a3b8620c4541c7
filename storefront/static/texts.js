// What the scripts say, in the language of the page. Pages load the texts in a script of their own, before this
// one (texts-de.js …); English stands in the code.
const { language = 'en', dates = 'en-GB', texts = {}, symbols = {}, symbolBehind = false } = globalThis.boxofficeTexts ?? {};

/** The language of the page, for numbers. */
export const LANGUAGE = language;
/** Whose dates are written. */
export const DATES = dates;
export const SYMBOLS = symbols;
export const SYMBOL_BEHIND = symbolBehind;

const plural = new Intl.PluralRules(LANGUAGE);
const numbers = new Intl.NumberFormat(LANGUAGE);

/**
 * Says a text in the language of the page, as t does in Go: %d is a number, %s a text, %[2]s the second argument.
 * The first number chooses the form. The text must stand here as it is, in single quotes: the server collects them.
 */
export function t(text, ...args) {
  const found = texts[text] ?? text;
  const form = typeof found === 'string' ? found : found[plural.select(args.find((arg) => typeof arg === 'number') ?? 0)] ?? found.other;
  let next = 0;
  return form.replace(/%(?:\[(\d+)\])?([ds])/g, (_, at, verb) => {
    if (at) next = Number(at) - 1;
    const arg = args[next++];
    return verb === 'd' ? numbers.format(arg) : String(arg);
  });
}
