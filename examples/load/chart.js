// A chart of the last minute on a canvas: lines over time that scroll to the
// left, with a scale that fits what is shown.

const shown_ms = 60_000;
const label_space = 18;
const ease = 0.15; // of the way to a new scale, each frame

// Slopes through points that neither overshoot nor bend where a value stays
// (the harmonic mean of both sides, none at a peak).
function slopes(points) {
    const sides = points.slice(1).map((point, i) =>
        (point.y - points[i].y) / (point.x - points[i].x));
    return points.map((_, i) => {
        const before = sides[i - 1] ?? sides[i] ?? 0;
        const after = sides[i] ?? before;
        return before * after <= 0 ? 0 : 2 * before * after / (before + after);
    });
}

function trace_curve(context, points) {
    const slope = slopes(points);
    context.moveTo(points[0].x, points[0].y);
    for (let i = 1; i < points.length; i++) {
        const [from, to] = [points[i - 1], points[i]];
        const third = (to.x - from.x) / 3;
        context.bezierCurveTo(from.x + third, from.y + third * slope[i - 1],
                              to.x - third, to.y - third * slope[i],
                              to.x, to.y);
    }
}

// Pieces within which each sample begins where the one before it ended.
function unbroken(samples) {
    const pieces = [];
    let last;
    for (const sample of samples) {
        const gap = sample.time - sample.period - (last?.time ?? -Infinity);
        if (gap > Math.max(250, sample.period / 2)) {
            pieces.push([]);
        }
        pieces.at(-1).push(sample);
        last = sample;
    }
    return pieces;
}

// The smallest of 1, 2, 5, 10, 20, ... that a value fits under.
export function round_top(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
    return [1, 2, 5, 10].find((digit) => digit * power >= value) * power;
}

export class chart {
    // `lines(sample)` returns the values. `styles[i]` has the name of a colour,
    // a width, and whether the area below is filled. The last style applies to
    // all further values. `top(samples)` is the end of the scale, `label(value)`
    // its text.
    constructor(canvas, { lines, styles, top, label }) {
        Object.assign(this, { canvas, lines, styles, top, label });
        this.context = canvas.getContext("2d");
        this.scale = undefined;
        this.end_label = ""; // of the scale
        new ResizeObserver(() => this.resize()).observe(canvas);
    }

    resize() {
        this.density = devicePixelRatio;
        this.width = this.canvas.clientWidth;
        this.height = this.canvas.clientHeight;
        this.canvas.width = Math.round(this.width * this.density);
        this.canvas.height = Math.round(this.height * this.density);
        this.read_colours();
        this.stale = true;
    }

    read_colours() {
        const style = getComputedStyle(this.canvas);
        this.colour = (name) => style.getPropertyValue(name).trim();
        this.font = `0.72rem ${style.fontFamily}`.replace("0.72rem",
            `${0.72 * parseFloat(style.fontSize)}px`);
    }

    // Milliseconds that one point of the screen stands for.
    get grain() {
        return shown_ms / (this.width * this.density);
    }

    x(time) {
        return this.width * (1 - (this.edge - time) / shown_ms);
    }

    y(value) {
        const space = this.height - label_space - 4;
        return 4 + space * (1 - value / this.scale);
    }

    // Draws the samples up to a time. Returns true if the scale is final: it
    // moves over several frames unless `jump` is true.
    draw(samples, edge, jump) {
        if (!this.width) {
            return true;
        }
        const target = this.top(samples.filter((sample) =>
            sample.time > edge - shown_ms));
        this.end_label = samples.length > 0 ? this.label(target) : "";
        const rest = target - (this.scale ?? target);
        const is_final = jump || this.scale === undefined
            || Math.abs(rest) < target / 500;
        this.scale = is_final ? target : this.scale + rest * ease;
        this.edge = edge;
        this.stale = false;

        const { context } = this;
        context.setTransform(this.density, 0, 0, this.density, 0, 0);
        context.clearRect(0, 0, this.width, this.height);
        this.draw_grid();
        context.save();
        context.beginPath();
        context.rect(0, 0, this.width, this.height - label_space + 2);
        context.clip();
        for (const piece of unbroken(samples)) {
            this.draw_piece(piece);
        }
        context.restore();
        return is_final;
    }

    draw_grid() {
        const { context } = this;
        context.strokeStyle = this.colour("--line");
        context.fillStyle = this.colour("--quiet");
        context.lineWidth = 1;
        context.font = this.font;
        context.beginPath();
        for (const part of [0, 0.25, 0.5, 0.75, 1]) {
            const y = Math.round(this.y(part * this.scale)) + 0.5;
            context.moveTo(0, y);
            context.lineTo(this.width, y);
        }
        context.stroke();

        const base = this.height - 4;
        context.textBaseline = "alphabetic";
        for (const [text, position, align] of [["60 s ago", 0, "left"],
            ["30 s", 0.5, "center"], ["now", 1, "right"]]) {
            context.textAlign = align;
            context.fillText(text, this.width * position, base);
        }
    }

    draw_piece(piece) {
        const values = piece.map(this.lines);
        // The main line comes last, above the others.
        for (let line = values[0].length - 1; line >= 0; line--) {
            const style = this.styles[Math.min(line, this.styles.length - 1)];
            const points = piece.map((sample, i) => ({
                x: this.x(sample.time), y: this.y(values[i][line] ?? 0) }));
            const { x } = points[0];
            points.unshift({ x: Math.min(this.x(piece[0].time
                - piece[0].period), x - 0.5), y: points[0].y });
            this.draw_line(points, style);
        }
    }

    draw_line(points, { colour, width, fill, alpha = 1 }) {
        const { context } = this;
        context.beginPath();
        trace_curve(context, points);
        context.lineJoin = "round";
        context.lineWidth = width;
        context.globalAlpha = alpha;
        context.strokeStyle = this.colour(colour);
        context.stroke();
        if (fill) {
            const base = this.y(0);
            context.lineTo(points.at(-1).x, base);
            context.lineTo(points[0].x, base);
            context.globalAlpha = 0.16;
            context.fillStyle = this.colour(colour);
            context.fill();
        }
        context.globalAlpha = 1;
    }
}
