/* lame-frames RATE CHANNELS BIT_RATE|vQUALITY: 32-bit float PCM from stdin to MPEG frames on stdout, as LAME writes them.

   The very calls of FFmpeg's libmp3lame wrapper and nothing around them. In ffmpeg four more threads take part in every
   MPEG frame; waking them costs a sixth of the time on a machine whose cores all encode. What is read is encoded and
   written at once, so that whoever feeds several of these sees how far each has come. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lame/lame.h>

enum { CHUNK_SAMPLE_FRAMES = 8 * 1152, MP3_BYTES = 5 * CHUNK_SAMPLE_FRAMES / 4 + 7200 + 65536 };

static void fail(const char *reason)
{
    fprintf(stderr, "lame-frames: %s\n", reason);
    exit(1);
}

static lame_t started(int sample_rate, int channels, const char *rate)
{
    lame_t lame = lame_init();
    if (lame == NULL)
        fail("out of memory");
    lame_set_num_channels(lame, channels);
    lame_set_mode(lame, channels == 1 ? MONO : JOINT_STEREO);
    lame_set_in_samplerate(lame, sample_rate);
    lame_set_out_samplerate(lame, sample_rate);
    if (rate[0] == 'v') {
        lame_set_VBR(lame, vbr_default);
        lame_set_VBR_quality(lame, (float) atof(rate + 1));
    } else {
        lame_set_brate(lame, atoi(rate) / 1000);
    }
    lame_set_bWriteVbrTag(lame, 0);
    if (lame_init_params(lame) < 0 || lame_get_out_samplerate(lame) != sample_rate)
        fail("LAME does not have these rates");
    return lame;
}

static void write_all(const unsigned char *data, int count)
{
    if (count < 0)
        fail("LAME failed");
    while (count > 0) {
        ssize_t written = write(STDOUT_FILENO, data, (size_t) count);
        if (written < 0)
            fail("nobody reads");
        data += written;
        count -= (int) written;
    }
}

int main(int argc, char **argv)
{
    static float pcm[2 * CHUNK_SAMPLE_FRAMES], left[CHUNK_SAMPLE_FRAMES], right[CHUNK_SAMPLE_FRAMES];
    static unsigned char mp3[MP3_BYTES];
    int channels = argc == 4 ? atoi(argv[2]) : 0;
    if (channels != 1 && channels != 2)
        fail("usage: lame-frames RATE CHANNELS BIT_RATE|vQUALITY");
    lame_t lame = started(atoi(argv[1]), channels, argv[3]);
    size_t sample_frame_bytes = (size_t) channels * sizeof *pcm;
    size_t capacity = CHUNK_SAMPLE_FRAMES * sample_frame_bytes, filled = 0;
    ssize_t count;

    while ((count = read(STDIN_FILENO, (char *) pcm + filled, capacity - filled)) > 0) {
        filled += (size_t) count;
        int sample_frames = (int) (filled / sample_frame_bytes);
        for (int i = 0; i < sample_frames; i++) {
            left[i] = 32768.0f * pcm[i * channels];
            right[i] = 32768.0f * pcm[i * channels + channels - 1];
        }
        write_all(mp3, lame_encode_buffer_float(lame, left, right, sample_frames, mp3, sizeof mp3));
        size_t used = (size_t) sample_frames * sample_frame_bytes;
        filled -= used;
        memmove(pcm, (char *) pcm + used, filled);
    }
    if (count < 0 || filled > 0)
        fail("the PCM breaks off");
    write_all(mp3, lame_encode_flush(lame, mp3, sizeof mp3));
    return 0;
}
