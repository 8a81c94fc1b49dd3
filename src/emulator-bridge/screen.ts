/**
 * The guest's screen, keyboard and mouse. v86's own screen needs a page. This one draws on an OffscreenCanvas, on a
 * page or in a worker, and costs nothing while no canvas is attached.
 */
import type { Disposable } from '../shared/disposable.ts';
import type { Clock } from '../shared/clock.ts';
import type { Screen } from './machine.ts';
import { Ps2Input, type Ps2Like } from './ps2-input.ts';
import { systemClock } from '../shared/system-clock.ts';
import { TextScreen } from './text-screen.ts';
import type { BusLike } from './v86-bus.ts';

/** Time between pictures, about 30 a second: enough for a console, and cheap beside the guest. */
const FRAME_MS = 33;
/** Without a canvas, a guest in graphics mode still waits for the vertical retrace now and then. */
const RETRACE_MS = 100;

/** A rectangle of v86's picture: where it is in `image_data`, and where it belongs on the screen. */
export interface LayerLike {
  readonly image_data: ImageData;
  readonly screen_x: number;
  readonly screen_y: number;
  readonly buffer_x: number;
  readonly buffer_y: number;
  readonly buffer_width: number;
  readonly buffer_height: number;
}

/** What v86's VGA device calls on its `screen`. */
export interface ScreenAdapterLike {
  readonly FLAG_BLINKING: number;
  readonly FLAG_FONT_PAGE_B: number;
  put_char(row: number, column: number, character: number, flags: number, background: number, foreground: number): void;
  set_mode(graphical: boolean): void;
  set_font_bitmap(height: number, nine: boolean, double: boolean, copyEighth: boolean, font: Uint8Array, changed: boolean): void;
  set_font_page(pageA: number, pageB: number): void;
  clear_screen(): void;
  clear_text_state(): void;
  set_size_text(columns: number, rows: number): void;
  set_size_graphical(width: number, height: number): void;
  update_cursor(row: number, column: number): void;
  update_cursor_scanline(start: number, end: number, visible: boolean): void;
  update_buffer(layers: readonly LayerLike[]): void;
}

/** The members of v86's VGA device used here; see v86-api.ts for the pinned version. */
export interface VgaLike {
  screen: ScreenAdapterLike;
  readonly graphical_mode: boolean;
  readonly svga_enabled: boolean;
  readonly svga_width: number;
  readonly svga_height: number;
  readonly screen_width: number;
  readonly screen_height: number;
  readonly max_cols: number;
  readonly max_rows: number;
  set_font_bitmap(changed: boolean): void;
  set_font_page(): void;
  update_cursor(): void;
  update_cursor_scanline(): void;
  update_vertical_retrace(): void;
  complete_redraw(): void;
  screen_fill_buffer(): void;
}

export class GuestScreen implements Screen, Disposable {
  private readonly vga: VgaLike;
  private readonly clock: Clock;
  private readonly input: Ps2Input;
  private readonly textScreen = new TextScreen();
  private canvas: OffscreenCanvas | null = null;
  private context: OffscreenCanvasRenderingContext2D | null = null;
  private graphical = false;
  private width = 0;
  private height = 0;
  private timer: Disposable | null = null;
  private running = false;
  private disposed = false;

  /** Takes the place of v86's own screen; the devices must exist. */
  constructor(bus: BusLike, vga: VgaLike, ps2: Ps2Like, clock: Clock = systemClock) {
    this.vga = vga;
    this.clock = clock;
    this.input = new Ps2Input(bus, ps2, clock);
    vga.screen = this.adapter();
    this.takeOver();
  }

  attach(canvas: OffscreenCanvas | null): void {
    // Keyboard and mouse belong to the canvas: a key pressed at the old one will not be released at the new one.
    this.input.releaseAll();
    this.canvas = canvas;
    this.context = canvas?.getContext('2d', { alpha: false }) ?? null;
    this.timer?.dispose();
    this.timer = null;
    if (this.context !== null) {
      this.textScreen.redraw();
      if (this.graphical) this.vga.complete_redraw();
      this.fit();
    }
    this.schedule();
  }

  text(): string[] | null {
    return this.graphical ? null : this.textScreen.lines();
  }

  /** The picture's size in pixels; an attached canvas has the same size. */
  get size(): { readonly width: number; readonly height: number } {
    return this.graphical ? { width: this.width, height: this.height } : this.textScreen.size;
  }

  sendScancodes(codes: readonly number[]): void {
    this.input.sendScancodes(codes);
  }

  sendMouse(dx: number, dy: number, buttons: readonly [boolean, boolean, boolean]): void {
    this.input.sendMouse(dx, dy, buttons);
  }

  /** What the keyboard controller holds and v86 does not save; only while stopped. */
  saveQueues(): Uint8Array {
    return this.input.saveQueues();
  }

  /** After v86 has restored its devices, while stopped. Throws MachineError 'state-invalid'. */
  restoreQueues(bytes: Uint8Array): void {
    this.input.restoreQueues(bytes);
  }

  /** The machine's owner says whether the CPU runs. */
  setRunning(running: boolean): void {
    this.running = running;
    this.input.setRunning(running);
  }

  dispose(): void {
    this.disposed = true;
    this.timer?.dispose();
    this.timer = null;
    this.canvas = null;
    this.context = null;
    this.input.dispose();
  }

  /** Brings this screen to the device's state; the device may have been set up before. */
  private takeOver(): void {
    const vga = this.vga;
    this.setMode(vga.graphical_mode);
    if (vga.graphical_mode) {
      this.setGraphicsSize(vga.svga_enabled ? vga.svga_width : vga.screen_width, vga.svga_enabled ? vga.svga_height : vga.screen_height);
    } else {
      this.textScreen.resize(vga.max_cols, vga.max_rows);
      vga.set_font_bitmap(true);
      vga.set_font_page();
      vga.update_cursor_scanline();
      vga.update_cursor();
    }
    vga.complete_redraw();
  }

  private adapter(): ScreenAdapterLike {
    const text = this.textScreen;
    return {
      FLAG_BLINKING: TextScreen.BLINKING,
      FLAG_FONT_PAGE_B: TextScreen.SECOND_FONT,
      put_char: (row, column, character, flags, background, foreground) => text.put(row, column, character, flags, background, foreground),
      set_mode: (graphical) => this.setMode(graphical),
      set_font_bitmap: (height, nine, double, copyEighth, font, changed) =>
        text.setFont({ height, width: double ? 16 : nine ? 9 : 8, copyEighth, bitmap: font }, changed),
      set_font_page: (pageA, pageB) => text.setFontPages(pageA, pageB),
      clear_screen: () => this.clear(),
      // The device follows with the whole state: font, size, cursor and every character.
      clear_text_state: () => text.redraw(),
      set_size_text: (columns, rows) => text.resize(columns, rows),
      set_size_graphical: (width, height) => this.setGraphicsSize(width, height),
      update_cursor: (row, column) => text.moveCursor(row, column),
      update_cursor_scanline: (start, end, visible) => text.setCursorShape(start, end, visible),
      update_buffer: (layers) => this.drawLayers(layers),
    };
  }

  private setMode(graphical: boolean): void {
    this.graphical = graphical;
    this.textScreen.redraw();
    this.fit();
    this.schedule();
  }

  private setGraphicsSize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.fit();
  }

  private clear(): void {
    if (this.context === null || this.canvas === null) return;
    this.context.fillStyle = '#000';
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Gives the canvas the picture's size. */
  private fit(): void {
    const canvas = this.canvas;
    if (canvas === null) return;
    const { width, height } = this.size;
    if (width === 0 || height === 0 || (canvas.width === width && canvas.height === height)) return;
    // This also clears it.
    canvas.width = width;
    canvas.height = height;
    this.textScreen.redraw();
  }

  private schedule(): void {
    if (this.timer !== null || this.disposed) return;
    if (this.context === null && !this.graphical) return;
    this.timer = this.clock.setTimeout(
      () => {
        this.timer = null;
        this.refresh();
        this.schedule();
      },
      this.context === null ? RETRACE_MS : FRAME_MS,
    );
  }

  private refresh(): void {
    const context = this.context;
    if (context === null) {
      // This changes the device, so it must not happen while the device's state may be moving to another host.
      if (this.running) this.vga.update_vertical_retrace();
    } else if (this.graphical) this.vga.screen_fill_buffer();
    else {
      this.fit();
      this.textScreen.blink(this.clock.now());
      this.textScreen.draw((pixels, width, height, y) => {
        context.putImageData(new ImageData(pixels, width, height), 0, y);
      });
    }
  }

  private drawLayers(layers: readonly LayerLike[]): void {
    const context = this.context;
    if (context === null) return;
    for (const layer of layers) {
      context.putImageData(
        layer.image_data,
        layer.screen_x - layer.buffer_x,
        layer.screen_y - layer.buffer_y,
        layer.buffer_x,
        layer.buffer_y,
        layer.buffer_width,
        layer.buffer_height,
      );
    }
  }
}
