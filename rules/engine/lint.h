/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings about rules that work: what their author would want to know. */
#pragma once

#include "parse.h"
#include "taxonomy.h"

/* Says them through p->on_warning. */
void lint_rule(struct rule_parser *p, struct taxonomy *t,
    const struct sigma_rule *rule);
