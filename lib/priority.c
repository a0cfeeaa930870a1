/* SPDX-License-Identifier: Apache-2.0 */
#include "priority.h"

#include <unistd.h>

enum { LESS = 10 };

void
stand_back(void)
{
	/* of this thread only: Linux has a value for each, as nice(2) says */
	if (nice(LESS) == -1)
		return; /* or it is so nice now: nothing to be done about it */
}
