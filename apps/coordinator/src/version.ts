/** Of this Cotune; the package's own. */
export const VERSION = '0.1.0';
