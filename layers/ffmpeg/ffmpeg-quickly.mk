# Appended to FFmpeg's ffbuild/config.mak: what takes long to compile, and needs not.
#
# Warnings are for FFmpeg's developers. Parsing files, options and filter graphs takes a hundredth of a conversion; only
# what touches every sample is optimized as FFmpeg does it: all decoders and resampling, and what is named here.

CFLAGS := $(filter-out -W%,$(CFLAGS))

libavformat/%.o libavfilter/%.o libavutil/%.o fftools/%.o: CFLAGS += -O1
libavfilter/af_%.o libavutil/crc.o libavutil/fixed_dsp.o libavutil/float_dsp.o libavutil/tx_float.o: CFLAGS += -O3

# Covers are copied, and only opened to see how large they are.
libavcodec/mjpegdec.o libavcodec/pngdec.o libavcodec/simple_idct.o libavcodec/hpeldsp.o: CFLAGS += -O1
