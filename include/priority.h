/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the processor is given to when there is not enough of it. */
#pragma once

/*
 * For threads that answer people, beside those that take in: the calling thread
 * gets about a tenth of a processor that others want too, and a whole one that
 * nobody else wants.  Its reading of disks stands back as well: Linux derives an
 * I/O priority from nice(2).  Never more than that: it may hold a lock that the
 * others wait for.
 */
void stand_back(void);
