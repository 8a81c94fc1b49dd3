/** The tag of tests that need the machine for themselves: their results change with what runs beside them. */
export const ALONE = '@alone';
