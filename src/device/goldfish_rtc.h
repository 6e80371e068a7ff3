/*
 * goldfish_rtc.h - the guest's wall clock, with one alarm
 */
#ifndef DOPPEL_GOLDFISH_RTC_H
#define DOPPEL_GOLDFISH_RTC_H

#include "base/err.h"
#include "base/loop.h"
#include "device/device.h"
#include "memory/physmap.h"

struct device *goldfish_rtc_new(struct physmap *pm, struct loop *loop, uint64_t base, const struct irq *irq, struct err *e);

#endif
