/* Encodes synthetic audio with an instrumented LAME, so that the compiler learns which paths are hot
 * (profile-guided optimisation). Deterministic: the same sources give the same profile.
 *
 * The audio has what an encoder meets: steady harmonics (long blocks), struck notes and noise bursts
 * (short blocks), speech-like syllables with pauses, a wide stereo image and passages near silence.
 * The settings are those that the service offers, most of the time at its default rate.
 */
#include <lame/lame.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PI 3.14159265358979323846
#define CHUNK 1152

struct setting {
    int sample_rate;
    int channels;
    int kbps; /* 0: variable bit rate */
    float vbr_quality;
    int seconds;
};

static const struct setting settings[] = {
    {32000, 2, 192, 0, 12}, {32000, 2, 128, 0, 12}, {32000, 2, 320, 0, 8}, {32000, 2, 0, 2, 10},
    {32000, 2, 0, 5, 5},    {32000, 1, 64, 0, 5},   {44100, 2, 192, 0, 5}, {22050, 1, 48, 0, 3},
};

static uint32_t noise_state = 1;

static double noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (int32_t)noise_state / 2147483648.0;
}

/* One sample of each side at `t` seconds, in -1..1. */
static void synthesise(double t, double *left, double *right)
{
    static const double chord[] = {110.0, 164.81, 220.0, 277.18, 329.63, 440.0};
    double note = fmod(t, 0.375), strike = exp(-note * 9.0);
    double bar = fmod(t, 6.0);
    double loudness = bar > 5.6 ? 0.0005 : 0.25 + 0.75 * sin(PI * bar / 6.0);
    int step = (int)(t / 0.375);
    double music_left = 0.0, music_right = 0.0, voice = 0.0;

    for (int i = 0; i < 6; i++) {
        double tone = 0.0, frequency = chord[i] * (step % 4 == 3 ? 1.1225 : 1.0);
        for (int harmonic = 1; harmonic <= 6; harmonic++)
            tone += sin(2.0 * PI * frequency * harmonic * (t + 0.0004 * sin(2.0 * PI * 5.1 * t))) / (harmonic * 1.3);
        tone *= i == step % 6 ? strike : 0.25;
        music_left += tone * (i % 2 ? 0.9 : 0.4);
        music_right += tone * (i % 2 ? 0.4 : 0.9);
    }
    if (fmod(t, 0.5) < 0.26) {
        double pitch = 118.0 + 22.0 * sin(2.0 * PI * 0.7 * t);
        for (int harmonic = 1; harmonic <= 14; harmonic++)
            voice += sin(2.0 * PI * pitch * harmonic * t) / (1.0 + 0.05 * pow(harmonic - 5.0, 2.0));
    } else if (fmod(t, 0.5) < 0.36) {
        voice = 2.5 * noise();
    }
    double drum = step % 2 ? exp(-note * 45.0) * noise() : exp(-note * 22.0) * sin(2.0 * PI * 62.0 * note);
    *left = loudness * (0.16 * music_left + 0.05 * voice + 0.35 * drum) + 0.002 * noise();
    *right = loudness * (0.16 * music_right + 0.05 * voice + 0.30 * drum) + 0.002 * noise();
}

static int encode(const struct setting *setting)
{
    static float left[CHUNK], right[CHUNK];
    static unsigned char mp3[CHUNK * 5 / 4 + 7200];
    lame_t lame = lame_init();

    if (lame == NULL)
        return -1;
    lame_set_num_channels(lame, setting->channels);
    lame_set_mode(lame, setting->channels > 1 ? JOINT_STEREO : MONO);
    lame_set_in_samplerate(lame, setting->sample_rate);
    lame_set_out_samplerate(lame, setting->sample_rate);
    lame_set_bWriteVbrTag(lame, 0);
    if (setting->kbps) {
        lame_set_brate(lame, setting->kbps);
    } else {
        lame_set_VBR(lame, vbr_default);
        lame_set_VBR_quality(lame, setting->vbr_quality);
    }
    if (lame_init_params(lame) < 0)
        return -1;
    for (long done = 0; done < (long)setting->seconds * setting->sample_rate; done += CHUNK) {
        for (int i = 0; i < CHUNK; i++) {
            double l, r;
            synthesise((double)(done + i) / setting->sample_rate, &l, &r);
            left[i] = (float)(l * 32767.0);
            right[i] = (float)(r * 32767.0);
        }
        if (lame_encode_buffer_float(lame, left, right, CHUNK, mp3, sizeof mp3) < 0)
            return -1;
    }
    if (lame_encode_flush(lame, mp3, sizeof mp3) < 0)
        return -1;
    return lame_close(lame);
}

int main(void)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (encode(&settings[i]) < 0) {
            fprintf(stderr, "LAME refused training setting %zu\n", i);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
