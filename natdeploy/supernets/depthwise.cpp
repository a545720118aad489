// Depthwise convolution of small maps, and its two gradients: float32, channels last, padding kernel / 2.
//
// Maps are [images, height, width, channels], weights [kernel * kernel, channels]; channels are a multiple of 8. A row
// of outputs of 16 channels stays in registers, and the loops over columns and taps have constant bounds, so that the
// compiler unrolls them and no border is ever computed. One library is for one kernel size: it is compiled with
// -DKERNEL=3, 5 or 7, so that several processors can be at work.

namespace {

typedef float Wide __attribute__((vector_size(64)));
typedef float Half __attribute__((vector_size(32)));

template <class V> inline V load(const float *from) {
    V value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

template <class V> inline void store(float *to, V value) { __builtin_memcpy(to, &value, sizeof value); }

constexpr int least(int a, int b) { return a < b ? a : b; }
constexpr int most(int a, int b) { return a > b ? a : b; }

template <int W, int K, int S> struct Depthwise {
    static constexpr int PAD = K / 2, OUT_W = (W - 1) / S + 1;

    static constexpr bool inside(int ox, int kx) { return ox * S + kx >= PAD && ox * S + kx - PAD < W; }

    template <class V> static void forward(const float *x, const float *w, float *y, int height, int channels) {
        const int out_h = (height - 1) / S + 1;
        for (int oy = 0; oy < out_h; oy++) {
            V sum[OUT_W] = {};
            for (int ky = most(0, PAD - oy * S); ky < least(K, height + PAD - oy * S); ky++) {
                const float *row = x + (long)(oy * S + ky - PAD) * W * channels;
#pragma unroll
                for (int kx = 0; kx < K; kx++) {
                    const V tap = load<V>(w + (long)(ky * K + kx) * channels);
#pragma unroll
                    for (int ox = 0; ox < OUT_W; ox++)
                        if (inside(ox, kx))
                            sum[ox] += tap * load<V>(row + (long)(ox * S + kx - PAD) * channels);
                }
            }
#pragma unroll
            for (int ox = 0; ox < OUT_W; ox++)
                store<V>(y + (long)(oy * OUT_W + ox) * channels, sum[ox]);
        }
    }

    template <class V> static void input_gradient(const float *dy, const float *w, float *dx, int height, int channels) {
        const int out_h = (height - 1) / S + 1;
        for (int iy = 0; iy < height; iy++) {
            V sum[W] = {};
            for (int oy = most(0, (iy + PAD - K + S) / S); oy <= least(out_h - 1, (iy + PAD) / S); oy++) {
                const int ky = iy + PAD - oy * S;
                const float *row = dy + (long)oy * OUT_W * channels;
#pragma unroll
                for (int kx = 0; kx < K; kx++) {
                    const V tap = load<V>(w + (long)(ky * K + kx) * channels);
#pragma unroll
                    for (int ox = 0; ox < OUT_W; ox++)
                        if (inside(ox, kx))
                            sum[ox * S + kx - PAD] += tap * load<V>(row + (long)ox * channels);
                }
            }
#pragma unroll
            for (int ix = 0; ix < W; ix++)
                store<V>(dx + (long)(iy * W + ix) * channels, sum[ix]);
        }
    }

    template <class V>
    static void weight_gradient(const float *x, const float *dy, float *dw, int images, int height, int channels) {
        const int out_h = (height - 1) / S + 1;
        for (int ky = 0; ky < K; ky++) {
            V sum[K] = {};
            for (int n = 0; n < images; n++)
                for (int oy = most(0, (PAD - ky + S - 1) / S); oy < out_h && oy * S + ky - PAD < height; oy++) {
                    const float *in = x + ((long)n * height + oy * S + ky - PAD) * W * channels;
                    const float *out = dy + ((long)n * out_h + oy) * OUT_W * channels;
#pragma unroll
                    for (int ox = 0; ox < OUT_W; ox++) {
                        const V gradient = load<V>(out + (long)ox * channels);
#pragma unroll
                        for (int kx = 0; kx < K; kx++)
                            if (inside(ox, kx))
                                sum[kx] += gradient * load<V>(in + (long)(ox * S + kx - PAD) * channels);
                    }
                }
#pragma unroll
            for (int kx = 0; kx < K; kx++)
                store<V>(dw + (long)(ky * K + kx) * channels, sum[kx]);
        }
    }
};

enum Pass { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT };

typedef void Run(int pass, const float *a, const float *b, float *c, int images, int height, int channels);

template <int W, int K, int S> void run(int pass, const float *a, const float *b, float *c, int images, int height,
                                        int channels) {
    typedef Depthwise<W, K, S> Case;
    const long in = (long)height * W * channels, out = (long)((height - 1) / S + 1) * Case::OUT_W * channels;
    const int wide = channels / 16 * 16;
    if (pass == WEIGHT_GRADIENT) {
        for (int i = 0; i < wide; i += 16)
            Case::template weight_gradient<Wide>(a + i, b + i, c + i, images, height, channels);
        if (wide < channels)
            Case::template weight_gradient<Half>(a + wide, b + wide, c + wide, images, height, channels);
        return;
    }
    for (long n = 0; n < images; n++) {
        const float *from = a + n * (pass == FORWARD ? in : out);
        float *to = c + n * (pass == FORWARD ? out : in);
        for (int i = 0; i < wide; i += 16)
            (pass == FORWARD ? Case::template forward<Wide> : Case::template input_gradient<Wide>)(
                from + i, b + i, to + i, height, channels);
        if (wide < channels)
            (pass == FORWARD ? Case::template forward<Half> : Case::template input_gradient<Half>)(
                from + wide, b + wide, to + wide, height, channels);
    }
}

template <int W> Run *with_stride(int stride) {
    return stride == 1 ? run<W, KERNEL, 1> : stride == 2 ? run<W, KERNEL, 2> : nullptr;
}

Run *find(int width, int stride) {
    switch (width) {
    case 2: return with_stride<2>(stride);
    case 3: return with_stride<3>(stride);
    case 4: return with_stride<4>(stride);
    case 6: return with_stride<6>(stride);
    case 7: return with_stride<7>(stride);
    case 8: return with_stride<8>(stride);
    case 12: return with_stride<12>(stride);
    case 14: return with_stride<14>(stride);
    case 16: return with_stride<16>(stride);
    default: return nullptr;
    }
}

} // namespace

// 1 where there is code for such a layer, else 0.
extern "C" int depthwise_fits(int width, int channels, int stride) {
    return channels > 0 && channels % 8 == 0 && find(width, stride) != nullptr;
}

// pass 0: x, w to y. pass 1: dy, w to dx. pass 2: x, dy to dw. height and width are the input's.
extern "C" void depthwise_run(int pass, const float *a, const float *b, float *c, int images, int height, int width,
                              int channels, int stride) {
    find(width, stride)(pass, a, b, c, images, height, channels);
}
