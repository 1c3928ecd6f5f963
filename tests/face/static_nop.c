/* SPDX-License-Identifier: MIT */
/*
 * static_nop.c - a static program that does nothing, for static_starts.sh: all that it allocates is
 * what libc does before main.
 */
int main(void)
{
	return 0;
}
