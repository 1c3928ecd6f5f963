# mpi.sh - two ranks of Open MPI exchange buffers that a registration cache may remember.
what="Open MPI, two ranks: messages of all sizes from buffers that are freed and allocated anew"
packages="openmpi-bin libopenmpi-dev gcc libc6-dev"
programs="/usr/bin/orterun gcc"

run_case() {
	cat >load.c <<-'END'
		#include <mpi.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		int main(int argc, char **argv)
		{
			int rank;
			long bad = 0;
			MPI_Init(&argc, &argv);
			MPI_Comm_rank(MPI_COMM_WORLD, &rank);
			for (int round = 0; round < 20; round++)
				for (size_t n = 1; n <= 1 << 22; n = n * 3 + round % 5) {
					unsigned char *p = malloc(n);
					memset(p, rank == 0 ? round + (int)n : 0, n);
					if (rank == 0)
						MPI_Send(p, n, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
					else
						MPI_Recv(p, n, MPI_BYTE, 0, 0, MPI_COMM_WORLD,
							MPI_STATUS_IGNORE);
					for (size_t i = 0; i < n; i++)
						bad += p[i] != (unsigned char)(round + (int)n);
					free(p);
				}
			MPI_Allreduce(MPI_IN_PLACE, &bad, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
			if (rank == 0)
				printf("%ld wrong bytes\n", bad);
			MPI_Finalize();
			return bad != 0;
		}
	END
	mpicc -O1 load.c -o load
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
		OMPI_MCA_plm_rsh_agent=/bin/false
	export OMPI_MCA_btl_base_warn_component_unused=0 OMPI_MCA_orte_tmpdir_base="$PWD"
	orterun -np 2 ./load 2>errors
	OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=lo orterun -np 2 ./load 2>>errors
}
