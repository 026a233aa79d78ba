// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_NETWORK_NICE_H_
#define ATTEND_SERVER_SERVICES_NETWORK_NICE_H_

namespace attend {

// Gives the calling thread this nice value (0 to 19) unless it had it given before. gRPC makes its
// threads itself, so each of them calls this when it first handles a call. Threads that compute
// then go first where both want the same core: what is not received costs nothing yet and holds
// its sender back, and what is computed was already paid for. Fails silently: the server works
// without.
void SetNetworkNice(int nice);

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_NETWORK_NICE_H_
