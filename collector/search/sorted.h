/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "collector/search/evaluate.h"

/* search_events() of a page that is sorted by time. */
enum rc sorted_events(struct store *s, const struct search_request *r,
    struct search_page *page, search_event_cb *cb, void *ctx,
    struct error *err);

/* The blocks that the request is about, in order of arrival (events.c). */
void search_begin_scan(struct store_scan *scan, const struct evaluation *e,
    const struct search_request *r);
