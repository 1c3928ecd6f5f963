/* SPDX-License-Identifier: MIT */
/*
 * rights.h - the former names of metakey.h.
 */
#ifndef GOALLOC_RIGHTS_H
#define GOALLOC_RIGHTS_H

#include "os/metakey.h"

#define rights_of_key metakey_rights
#define rights_open metakey_open
#define rights_close metakey_close

#endif
