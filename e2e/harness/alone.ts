/** The tag of tests that want the machine for themselves: what they judge changes with what runs beside them. */
export const ALONE = '@alone';
