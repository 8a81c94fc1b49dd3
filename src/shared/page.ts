/** Bytes in a page of guest memory; also the unit in which video memory and the disk overlay are moved. */
export const PAGE_SIZE = 4096;
