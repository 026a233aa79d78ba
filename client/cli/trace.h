// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_TRACE_H_
#define ATTEND_CLIENT_CLI_TRACE_H_

#include <string>

#include "attend/options.h"

namespace attend::cli {

// What --verbose prints on standard error. Any thread.

// Where calls go. Of the metadata only the names: values may be secrets.
void TraceConnection(const std::string& servers, bool tls, const client::Metadata& metadata);

void TraceAttempt(const client::AttemptInfo& info);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_TRACE_H_
