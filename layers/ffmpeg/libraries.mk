# zlib (what unpacks), libsoxr and LAME: static libraries and headers in prefix/, from the sources in sources/.
#
# Their own configure scripts and CMake ask the compiler hundreds of questions, which takes longer than to compile what
# is needed here, and the answers are those of every Linux. recipe.py sets CC, AR, MACHINE, HARDENING and LAME_FLAGS.

ZLIB := $(addprefix sources/zlib/, adler32.o crc32.o inffast.o inflate.o inftrees.o uncompr.o zutil.o)
SOXR := $(addprefix sources/libsoxr/src/, soxr.o data-io.o dbesi0.o filter.o cr.o cr32.o cr64.o vr32.o fft4g32.o fft4g64.o)
LAME := $(addprefix sources/lame/libmp3lame/, VbrTag.o bitstream.o encoder.o fft.o gain_analysis.o id3tag.o lame.o \
	newmdct.o presets.o psymodel.o quantize.o quantize_pvt.o reservoir.o set_get.o tables.o takehiro.o util.o \
	vbrquantize.o version.o mpglib_interface.o)
LAME_EXACT_ORDER := $(addprefix sources/lame/libmp3lame/, calc_noise_avx2.o fht_avx2.o spreading_avx2.o \
	subband_avx2.o vbr_noise_avx2.o)

ifeq ($(MACHINE),x86_64)
SOXR_SSE := $(addprefix sources/libsoxr/src/, cr32s.o pffft32s.o util32s.o)
SOXR_AVX := $(addprefix sources/libsoxr/src/, cr64s.o pffft64s.o util64s.o)
LAME_SSE := sources/lame/libmp3lame/vector/xmm_quantize_sub.o
# As its configure script has it, which knows these of PCs alone.
LAME_MACHINE := -DHAVE_XMMINTRIN_H -DTAKEHIRO_IEEE754_HACK -DUSE_FAST_LOG
HAS_SIMD := 1
else
HAS_SIMD := 0
endif

LIBRARIES := $(addprefix prefix/lib/, libz.a libsoxr.a libmp3lame.a)
HEADERS := $(addprefix prefix/include/, zlib.h zconf.h soxr.h lame/lame.h)

.PHONY: all stand-ins
all: $(LIBRARIES)

# What FFmpeg's configure looks for, while the libraries are compiled: headers, and one symbol of each library. An FFmpeg
# that is linked with such a library by mistake fails, because all other symbols are missing.
stand-ins: $(HEADERS)
	echo 'char zlibVersion, soxr_create, lame_set_VBR_quality;' > stand-in.c
	$(CC) $(HARDENING) -c stand-in.c
	for library in $(LIBRARIES); do $(AR) rcsD $$library stand-in.o; done

prefix/lib/libmp3lame.a: $(LAME) $(LAME_EXACT_ORDER) $(LAME_SSE)
prefix/lib/libsoxr.a: $(SOXR) $(SOXR_SSE) $(SOXR_AVX)
prefix/lib/libz.a: $(ZLIB)
$(LIBRARIES):
	rm -f $@
	$(AR) rcsD $@ $^

prefix/include/zlib.h prefix/include/zconf.h: prefix/include/%: sources/zlib/%
	cp $< $@
prefix/include/soxr.h: sources/libsoxr/src/soxr.h
	cp $< $@
prefix/include/lame/lame.h: sources/lame/include/lame.h
	mkdir -p $(@D)
	cp $< $@

$(ZLIB): CFLAGS = -O3 -D_LARGEFILE64_SOURCE=1 -DHAVE_HIDDEN -DHAVE_UNISTD_H -DHAVE_STDARG_H

$(SOXR) $(SOXR_SSE) $(SOXR_AVX): CFLAGS = -O3 -DNDEBUG -std=gnu89 -DSOXR_LIB -Isources/libsoxr
$(SOXR_AVX): CFLAGS += -mavx
$(SOXR) $(SOXR_SSE) $(SOXR_AVX): sources/libsoxr/soxr-config.h
SOXR_SETTINGS := AVCODEC_FOUND=0 AVUTIL_FOUND=0 WITH_PFFFT=$(HAS_SIMD) \
	HAVE_FENV_H=1 HAVE_STDBOOL_H=1 HAVE_STDINT_H=1 HAVE_LRINT=1 HAVE_BIGENDIAN=0 \
	WITH_CR32=1 WITH_CR32S=$(HAS_SIMD) WITH_CR64=1 WITH_CR64S=$(HAS_SIMD) WITH_VR32=1 \
	WITH_HI_PREC_CLOCK=1 WITH_FLOAT_STD_PREC_CLOCK=0 WITH_DEV_TRACE=1
sources/libsoxr/soxr-config.h:
	for setting in $(SOXR_SETTINGS); do echo "#define $$setting" | tr = ' '; done > $@

$(LAME) $(LAME_EXACT_ORDER) $(LAME_SSE): CFLAGS = $(LAME_FLAGS) -D_GNU_SOURCE -DSTDC_HEADERS -DHAVE_ERRNO_H \
	-DHAVE_FCNTL_H -DHAVE_INTTYPES_H -DHAVE_STDINT_H -Dieee754_float32_t=float $(LAME_MACHINE) \
	-Isources/lame/include -Isources/lame/libmp3lame
# The order of their sums decides bytes, so they spell it out; the compiler may not change it. Without errno, rounding is
# one instruction and no call.
$(LAME_EXACT_ORDER): CFLAGS += -fno-fast-math -fno-math-errno -ffp-contract=off

# Built-in rules would compile without HARDENING.
.SUFFIXES:
%.o: %.c
	$(CC) $(CFLAGS) $(HARDENING) -c -o $@ $<
