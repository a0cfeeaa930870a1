/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process holds that waits most of the time.
 */
#pragma once

/* Early in main(): one heap for many threads that wait. */
void footprint_keep_small(void);

/*
 * After work that does not come again soon, from any thread: what the heap has
 * free goes back to the kernel, and so do pages of program and libraries that
 * stand in their files.  The kernel maps sixteen at a time around one that is
 * needed, and keeps what is mapped longer than what is not; what is needed
 * again costs a page fault without a read.  Breakpoints that a debugger set
 * before are lost.
 */
void footprint_rest(void);
